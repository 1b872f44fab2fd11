// An attacker's web site: any page that a test writes, with any Referrer-Policy. It records all messages that it hears.
import http from 'node:http';
import { listen, shut } from './net.mjs';

const EAR = '<script>var heard = []; addEventListener("message", (e) => heard.push([e.origin, e.data]))</script>';

/** Starts such a site; on 127.0.0.2, so that even its host differs from the app's. */
export async function startEvil(host = '127.0.0.2') {
  const pages = [];
  const server = http.createServer((incoming, answer) => {
    const page = pages[Number(new URL(incoming.url, 'http://evil').searchParams.get('n'))];
    if (!page) return answer.writeHead(404).end();
    const headers = { 'Content-Type': 'text/html; charset=utf-8' };
    if (page.policy) headers['Referrer-Policy'] = page.policy;
    answer.writeHead(200, headers).end(`<!doctype html><html lang="en"><title>Evil</title><body>${EAR}${page.html}`);
  });
  const origin = `http://${host}:${await listen(server, host)}`;
  return {
    origin,
    /** The URL of a page with this content. */
    page: (html, policy = '') => `${origin}/?n=${pages.push({ html, policy }) - 1}`,
    stop: () => shut(server),
  };
}
