// A certified OpenID provider (npm `oidc-provider`) in this process, with its own login and consent pages.
import http from 'node:http';
import { listen, request, shut } from './net.mjs';

export const OIDC_CLIENT = { id: 'alter-e2e', secret: 'a-secret-that-only-the-tests-know-0123456789' };

/**
 * Starts one. Its client needs the callback URL, which exists only after `alter provider set`: `register` it then.
 * `extra` overrides its configuration.
 */
export async function startOidcProvider(extra = {}) {
  const { default: Provider } = await quietly(() => import('oidc-provider'));
  let handler;
  const server = http.createServer((incoming, answer) => handler(incoming, answer));
  // Longer than any client keeps an idle connection: else a call may meet a connection that is just being closed.
  server.keepAliveTimeout = 60_000;
  const issuer = `http://127.0.0.1:${await listen(server)}`;
  const redirects = [];
  const refreshes = { granted: 0, refused: 0 };
  const rebuild = () => {
    const provider = new Provider(issuer, { ...configuration(redirects), ...extra });
    const count = (word) => (ctx) => {
      if (ctx.oidc.params?.grant_type === 'refresh_token') refreshes[word] += 1;
    };
    provider.on('grant.success', count('granted'));
    provider.on('grant.error', count('refused'));
    handler = provider.callback();
  };
  quietly(rebuild);
  return {
    issuer,
    host: new URL(issuer).host,
    userinfo: `${issuer}/me`,
    /** How many refreshes it has granted and refused. */
    refreshes,
    /** Whether the provider still knows an access token, by its own introspection (RFC 7662). */
    async knows(token) {
      const credentials = Buffer.from(`${OIDC_CLIENT.id}:${OIDC_CLIENT.secret}`).toString('base64');
      const answer = await request(`${issuer}/token/introspection`, {
        method: 'POST',
        headers: { Authorization: `Basic ${credentials}`, 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ token }).toString(),
      });
      return JSON.parse(answer.body).active;
    },
    register(callback) {
      redirects.push(callback);
      quietly(rebuild);
    },
    stop: () => shut(server),
  };
}

const isTheClients = (_, client, token) => token.clientId === client.clientId;

const configuration = (redirects) => ({
  clients: redirects.length
    ? [{ client_id: OIDC_CLIENT.id, client_secret: OIDC_CLIENT.secret, redirect_uris: redirects, response_types: ['code'], grant_types: ['authorization_code', 'refresh_token'] }]
    : [],
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: true },
    revocation: { enabled: true, allowedPolicy: isTheClients },
    introspection: { enabled: true, allowedPolicy: isTheClients },
  },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600 },
  cookies: { keys: ['only-for-these-tests'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@oidc.test`, email_verified: true, name: id }),
  }),
});

/** Calls `run` with the console silent: the provider warns on every start of a set-up unfit for production and of an
 *  unsupported Node. */
function quietly(run) {
  const { warn, info } = console;
  console.warn = console.info = () => {};
  const restore = () => Object.assign(console, { warn, info });
  try {
    const result = run();
    if (result instanceof Promise) return result.finally(restore);
    restore();
    return result;
  } catch (error) {
    restore();
    throw error;
  }
}
