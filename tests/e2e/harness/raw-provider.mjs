// An authorization server of sixty lines whose pages do what a test says: sever the opener, answer with errors, run
// somebody else's script. It is strict where the client must be right (PKCE, redirect_uri, client secret).
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import { listen, shut, text } from './net.mjs';

export const CLIENT = { id: 'raw-client', secret: 'raw-client-secret' };

const random = () => randomBytes(16).toString('hex');
const escapeHtml = (value) => value.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/**
 * Starts one. `page(query)` replaces the authorization page, `headers` go with that page, `hold` delays the token answer.
 * With `hop`, the authorization page leads to a second one, which has these headers: an organisation's own sign-in.
 */
export async function startRawProvider(host = '127.0.0.1') {
  const codes = new Map();
  const tokens = new Map();
  const provider = { seen: [], tokenRequests: 0, headers: {}, hop: undefined, page: undefined, hold: undefined };

  const back = (query, extra) => {
    const to = new URL(query.get('redirect_uri'));
    for (const [name, value] of Object.entries({ state: query.get('state'), ...extra })) to.searchParams.set(name, value);
    return to.href;
  };
  const consent = (query) => {
    const links = ['alice', 'bob'].map((user) => {
      const code = random();
      codes.set(code, { user, redirect: query.get('redirect_uri'), challenge: query.get('code_challenge'), scope: query.get('scope') ?? '' });
      return `<p><a id="${user}" href="${escapeHtml(back(query, { code }))}">Allow as ${user}</a>`;
    });
    const error = (name) => `<p><a id="${name}" href="${escapeHtml(back(query, { error: name, error_description: 'because' }))}">${name}</a>`;
    return links.join('') + error('access_denied') + error('temporarily_unavailable');
  };
  const exchange = (form, authorization) => {
    const code = codes.get(form.get('code'));
    codes.delete(form.get('code'));
    const basic = Buffer.from(`${CLIENT.id}:${CLIENT.secret}`).toString('base64');
    if (authorization !== `Basic ${basic}`) return [401, { error: 'invalid_client' }];
    const challenge = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
    const good = code && code.redirect === form.get('redirect_uri') && code.challenge === challenge;
    if (!good) return [400, { error: 'invalid_grant' }];
    const token = random();
    tokens.set(token, code.user);
    return [200, { access_token: token, token_type: 'Bearer', expires_in: 3600, scope: code.scope }];
  };

  const server = http.createServer(async (incoming, answer) => {
    const url = new URL(incoming.url, 'http://raw');
    provider.seen.push({ method: incoming.method, target: incoming.url, referer: incoming.headers.referer ?? '' });
    const json = (status, value) => answer.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
    if (url.pathname === '/authorize' || url.pathname === '/hop') {
      const hops = url.pathname === '/authorize' && provider.hop;
      const on = () => `<p><a id="on" href="${escapeHtml(`/hop${url.search}`)}">Sign in at your organisation</a>`;
      const body = (hops ? on : (provider.page ?? consent))(url.searchParams);
      const headers = url.pathname === '/hop' ? provider.hop : provider.headers;
      answer.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', ...headers });
      answer.end(`<!doctype html><html lang="en"><title>Raw provider</title><h1>Raw provider</h1>${body}`);
    } else if (url.pathname === '/token') {
      provider.tokenRequests += 1;
      const form = new URLSearchParams(await text(incoming));
      await provider.hold;
      json(...exchange(form, incoming.headers.authorization));
    } else if (url.pathname === '/userinfo' || url.pathname === '/api/me') {
      const user = tokens.get((incoming.headers.authorization ?? '').replace('Bearer ', ''));
      if (user) json(200, { sub: `raw-${user}`, email: `${user}@raw.test`, name: user });
      else json(401, { error: 'invalid_token' });
    } else answer.writeHead(404).end();
  });
  provider.origin = `http://${host}:${await listen(server, host)}`;
  provider.authorizations = () => provider.seen.filter((r) => r.target.startsWith('/authorize')).length;
  provider.stop = () => shut(server);
  return provider;
}
