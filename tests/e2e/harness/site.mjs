// An app's web site: one page with a connect button under a strict CSP, and the backend route that mints the session.
// The page's query chooses the variant; the page shows how a flow ended, for the tests to read.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { Backend } from './backend.mjs';
import { listen, shut } from './net.mjs';

const require = createRequire(import.meta.url);
const PUBLISHED = readFileSync(require.resolve('@alter-ai/connect').replace('.cjs.', '.umd.'));
const SCRIPT = readFileSync(new URL('./site-page.js', import.meta.url));

/** The CSP of the app's page; the entries in `form-action` and `connect-src` are the two that our docs ask for. */
const policy = (server, variant) =>
  [
    "default-src 'none'",
    `script-src 'self' ${server}`,
    `connect-src 'self'${variant === 'no-connect' ? '' : ` ${server}`}`,
    `form-action ${variant === 'no-form' ? "'none'" : server}`,
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');

/** Starts a site on another origin than the server's. `attach` gives the site its app, once the app is created. */
export async function startSite(host = '127.0.0.1') {
  const site = { seen: [], mint: {}, tokens: [], nextToken: undefined, backend: undefined };
  const routes = {
    '/': (query, answer) => {
      const server = site.backend.origin;
      // Where the page believes the server to be; the SDK itself still comes from the right address.
      const base = query.get('base') ?? server;
      const published = query.get('sdk') === 'published';
      const headers = { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': policy(`${server} ${base}`, query.get('csp')) };
      if (query.get('coop')) headers['Cross-Origin-Opener-Policy'] = query.get('coop');
      if (query.get('referrer')) headers['Referrer-Policy'] = query.get('referrer');
      answer.writeHead(200, headers).end(`<!doctype html><html lang="en"><title>An app</title>
<body data-server="${base}" data-published="${published ? 1 : ''}" data-fallback="${query.get('fallback') ?? ''}">
<h1>An app</h1><button id="connect" disabled>Connect</button><output id="end"></output>
<script src="${published ? '/published.js' : `${server}/sdk/alter-connect.umd.js`}"></script><script src="/page.js"></script>`);
    },
    // The page in a frame with only what `allow` gives it.
    '/framed': (query, answer) => {
      answer.writeHead(200, { 'Content-Type': 'text/html' })
        .end(`<!doctype html><title>Around an app</title><iframe src="/" sandbox="${query.get('allow')}"></iframe>`);
    },
    // An open redirect of the app: `now` while the page loads, else by its script once it has loaded.
    '/leave': (query, answer) => {
      const to = JSON.stringify(query.get('to'));
      const go = `location.href = ${to}`;
      const script = query.get('now') ? go : `addEventListener('load', () => setTimeout(() => { ${go} }, 100))`;
      answer.writeHead(200, { 'Content-Type': 'text/html' }).end(`<!doctype html><title>Leaving</title><script>${script}</script>`);
    },
    '/published.js': (_, answer) => answer.writeHead(200, { 'Content-Type': 'text/javascript' }).end(PUBLISHED),
    '/page.js': (_, answer) => answer.writeHead(200, { 'Content-Type': 'text/javascript' }).end(SCRIPT),
    '/session': async (_, answer) => {
      const token = site.nextToken ?? (await site.backend.mint({ allowed_origin: site.origin, ...site.mint })).session_token;
      site.nextToken = undefined;
      site.tokens.push(token);
      answer.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ token }));
    },
  };
  routes['/connected'] = routes['/'];
  site.routes = routes;
  const server = http.createServer(async (incoming, answer) => {
    site.seen.push({ method: incoming.method, target: incoming.url, referer: incoming.headers.referer ?? '' });
    const { pathname, searchParams } = new URL(incoming.url, 'http://site');
    try {
      await (routes[pathname] ?? ((_, a) => a.writeHead(404).end()))(searchParams, answer);
    } catch (error) {
      answer.writeHead(500).end(String(error));
    }
  });
  site.origin = `http://${host}:${await listen(server, host)}`;
  site.attach = (origin, key) => Object.assign(site, { backend: new Backend(origin, key) }).backend;
  site.stop = () => shut(server);
  return site;
}
