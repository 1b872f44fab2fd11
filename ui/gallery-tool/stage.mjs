// A stage for the hosted pages: serves the gallery's files, with their real CSP and script, at an address
// that exists only inside the browser, and answers the pages' API from a table. No server is needed.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { closing } from '../../tests/e2e/harness/closing.mjs';

export const ORIGIN = 'https://connect.test';
export const APP = 'https://notes.acme.example';
const SID = 'k3v9q2m7x4b8n1c6z5w0p3r7t2';
const html = new URL('../gallery/html/', import.meta.url);
const read = (name) => readFileSync(new URL(name, html), 'utf8');
export const manifest = JSON.parse(read('manifest.json'));
export const script = read('connect.js');
export const page = (name) => read(`${name}.html`);

export const launch = async () =>
  closing(await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] }));

const ROUTES = { shell: '/sdk/oauth/connect' };
export const path = (name) => ROUTES[name] ?? `/connect/s/${SID}`;

export const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': manifest.content_security_policy,
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

/// Puts `name` on the stage. `api(verb, body)` returns [status, json], or nothing for 200 with `{}`; every call
/// is recorded in `calls`, every CSP violation, console error and page error in `errors`.
export const stage = async (context, name, api = () => undefined) => {
  const seen = { calls: [], errors: [], visited: [], name };
  await context.route('**/*', async (route) => {
    const request = route.request();
    const url = new URL(request.url());
    if (url.origin === APP) {
      return route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>app</title><h1>app</h1>' });
    }
    if (url.origin !== ORIGIN) {
      seen.visited.push(url.href);
      return route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>elsewhere</title>' });
    }
    if (url.pathname === manifest.script_path) return route.fulfill({ contentType: 'text/javascript', body: script });
    if (url.pathname.startsWith('/connect/api/')) {
      const verb = url.pathname.split('/').pop();
      const body = request.postDataJSON();
      seen.calls.push({ verb, body, headers: request.headers(), method: request.method() });
      const [status, json] = (await api(verb, body, seen)) ?? [200, {}];
      return route.fulfill({ status, contentType: 'application/json', body: JSON.stringify(json) }).catch(() => {});
    }
    if (request.method() === 'POST') seen.calls.push({ verb: 'form', body: request.postData() });
    seen.visited.push(url.pathname + url.search);
    // The way back leads out of the stage: it is noted, and the page stays.
    if (url.pathname.endsWith('/return')) return route.abort('aborted');
    const notice = url.pathname.startsWith('/connect/notice/');
    return route.fulfill({ headers: HEADERS, body: page(notice ? 'open-from-app' : seen.name) });
  });
  const watch = (p) => {
    p.on('console', (m) => m.type() === 'error' && !/status of (4|5)\d\d/.test(m.text()) && seen.errors.push(m.text()));
    p.on('pageerror', (e) => seen.errors.push(String(e)));
  };
  context.on('page', watch);
  return seen;
};
