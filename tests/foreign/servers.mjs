// The four servers: how each starts, how an operator configures it, and what a person does on its pages.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const CLIENT = { id: 'alter-walk', secret: 'a-secret-of-the-walk-0123456789' };
const folder = fileURLToPath(new URL('servers/', import.meta.url));
const python = fileURLToPath(new URL('../.venv/bin/python', import.meta.url));

const press = (selector) => (popup) => popup.click(selector, { noWaitAfter: true });
const logInAs = (user) => async (popup) => {
  await popup.fill('input[name="user"]', user);
  await press('button')(popup);
};

export const SERVERS = {
  'oauth2-mock-server': {
    package: 'npm oauth2-mock-server',
    command: ['node', 'oauth2_mock_server.mjs'],
    how: '`--issuer`, OpenID Connect; no pages: it sends the browser back at once',
    set: (origin) => ['--issuer', origin, '--scopes', 'openid'],
    account: 'johndoe',
    api: { path: '/userinfo', owner: (body) => body.sub },
    // It answers 200 and forgets nothing: a released token stays good until it runs out.
    revocation: 'confirmed',
    forgets: false,
  },
  '@node-oauth/oauth2-server': {
    package: 'npm @node-oauth/oauth2-server',
    command: ['node', 'node_oauth2_server.mjs'],
    how: '`--spec`, plain OAuth 2.0; the account from an endpoint of its own',
    spec: (origin) => `id = "foreign"
name = "Node server"
authorize_url = "${origin}/authorize"
token_url = "${origin}/token"
userinfo_url = "${origin}/me"
default_scopes = ["read"]
api_hosts = ["${new URL(origin).host}"]
[identity]
from = "userinfo"
subject = "/user_id"
account = ["/login"]
display_name = []
[scopes]
"read" = "Read your things"
`,
    set: () => [],
    logIn: logInAs('nora'),
    allow: press('#allow'),
    deny: press('#deny'),
    account: 'nora',
    api: { path: '/me', owner: (body) => body.login },
    revocation: 'not_offered',
    forgets: false,
  },
  authlib: {
    package: 'Python Authlib',
    command: [python, 'authlib_flask.py'],
    how: '`--issuer`, OpenID Connect with the metadata of RFC 8414',
    set: (origin) => ['--issuer', origin, '--scopes', 'openid profile email'],
    logIn: logInAs('alma'),
    allow: press('#allow'),
    deny: press('#deny'),
    account: 'alma@authlib.test',
    api: { path: '/oauth/me', owner: (body) => body.sub },
    revocation: 'confirmed',
    forgets: true,
  },
  'django-oauth-toolkit': {
    package: 'Python django-oauth-toolkit',
    command: [python, 'django_toolkit.py'],
    how: '`--issuer`, OpenID Connect below a path; every page severs the opener',
    // Its metadata leave the revocation endpoint out.
    set: (origin) => ['--issuer', `${origin}/o`, '--revoke-url', `${origin}/o/revoke_token/`, '--scopes', 'openid read'],
    async logIn(popup) {
      await popup.fill('input[name="username"]', 'dana');
      await popup.fill('input[name="password"]', 'a long password');
      await press('button')(popup);
    },
    allow: press('input[name="allow"]'),
    deny: press('input[type="submit"]:not([name="allow"])'),
    account: '1',
    api: { path: '/things/', owner: (body) => body.owner },
    revocation: 'confirmed',
    forgets: true,
  },
};

/** Starts one: `{origin, register(callback), stop()}`. */
export async function startForeign(name) {
  const [program, file] = SERVERS[name].command;
  const child = spawn(program, [folder + file], { cwd: folder, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const read = async () => {
    const { done, value } = await lines.next();
    if (done) throw new Error(`${name} ended before it was ready: see what it wrote above`);
    return JSON.parse(value);
  };
  const { origin } = await read();
  return {
    origin,
    async register(callback) {
      child.stdin.write(`${JSON.stringify({ callback })}\n`);
      await read();
    },
    stop: () =>
      new Promise((done) => {
        child.once('exit', done);
        child.stdin.end();
        child.kill();
      }),
  };
}
