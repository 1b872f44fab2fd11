// npm `@node-oauth/oauth2-server` over node:http, with the model in memory. The package has no pages, no metadata, no
// account endpoint and no revocation: login and consent are the two forms below, `/me` is an API that its `authenticate` guards.
import http from 'node:http';
import OAuth2Server from '@node-oauth/oauth2-server';
import { listen, text } from '../../e2e/harness/net.mjs';
import { LIFE, introduce } from './line.mjs';

const { Request, Response } = OAuth2Server;
const client = {
  id: 'alter-walk', secret: 'a-secret-of-the-walk-0123456789', grants: ['authorization_code', 'refresh_token'], redirectUris: [],
};
const codes = new Map();
const tokens = [];
const find = (field, value) => tokens.find((token) => token[field] === value);

const model = {
  getClient: (id, secret) => id === client.id && (secret === null || secret === client.secret) && client,
  saveAuthorizationCode(code, ofClient, user) {
    codes.set(code.authorizationCode, { ...code, client: ofClient, user });
    return codes.get(code.authorizationCode);
  },
  getAuthorizationCode: (code) => codes.get(code),
  revokeAuthorizationCode: ({ authorizationCode }) => codes.delete(authorizationCode),
  saveToken(token, ofClient, user) {
    tokens.push({ ...token, client: ofClient, user });
    return tokens.at(-1);
  },
  getAccessToken: (token) => find('accessToken', token),
  getRefreshToken: (token) => find('refreshToken', token),
  revokeToken: (token) => tokens.splice(tokens.indexOf(token), 1).length === 1,
  validateScope: (_user, _client, scope) => scope?.every((one) => one === 'read') && scope,
  verifyScope: (token, scope) => scope.every((one) => token.scope.includes(one)),
};
const oauth = new OAuth2Server({ model, accessTokenLifetime: LIFE });

const page = (body) => `<!doctype html><html lang="en"><title>Node server</title><h1>Node server</h1>${body}`;
const login = page(`<form method="post" action="/login"><input name="user" aria-label="User"><input type="hidden" name="back">
<button>Log in</button></form><script>document.querySelector('[name=back]').value = location.href</script>`);
const consent = page(`<form method="post"><button name="allowed" value="true" id="allow">Allow</button>
<button name="allowed" value="false" id="deny">Deny</button></form>`);
const userOf = (incoming) => /(?:^|; )user=(\w+)/.exec(incoming.headers.cookie ?? '')?.[1];
const html = (answer, body) => answer.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(body);

function logIn(answer, form) {
  answer.writeHead(303, { Location: form.back, 'Set-Cookie': `user=${form.user}; HttpOnly; Path=/` }).end();
}

async function authorize(incoming, answer, request, response) {
  const user = userOf(incoming);
  if (!user || incoming.method === 'GET') return html(answer, user ? consent : login);
  await oauth.authorize(request, response, { authenticateHandler: { handle: () => ({ id: user }) } }).catch(() => {});
  answer.writeHead(response.status, response.headers).end();
}

async function me(answer, request, response) {
  const { user } = await oauth.authenticate(request, response, { scope: ['read'] });
  response.body = { user_id: user.id, login: user.id };
  json(answer, response);
}

const json = (answer, { status, headers, body }) =>
  answer.writeHead(status, { ...headers, 'Content-Type': 'application/json' }).end(JSON.stringify(body));

const server = http.createServer(async (incoming, answer) => {
  const url = new URL(incoming.url, 'http://node');
  const form = Object.fromEntries(new URLSearchParams(await text(incoming)));
  const request = new Request({
    method: incoming.method, headers: incoming.headers, query: Object.fromEntries(url.searchParams), body: form,
  });
  const response = new Response();
  try {
    if (url.pathname === '/authorize') return await authorize(incoming, answer, request, response);
    if (url.pathname === '/login') return logIn(answer, form);
    if (url.pathname === '/me') return await me(answer, request, response);
    await oauth.token(request, response);
    json(answer, response);
  } catch (error) {
    json(answer, { status: error.code ?? 500, headers: response.headers, body: { error: error.name } });
  }
});
await introduce(`http://127.0.0.1:${await listen(server)}`, (callback) => client.redirectUris.push(callback));
