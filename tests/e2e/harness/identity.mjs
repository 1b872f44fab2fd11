// The app's own identity provider: an `oidc-provider` with keys of its own, at which the app's users sign in by a real
// code flow over HTTP (authorize, log in, agree, code, token), as an app's backend and a browser do it.
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { request } from './net.mjs';
import { startOidcProvider } from './oidc-provider.mjs';

export const APP_CLIENT = 'the-app';
const BACK = 'https://app.example/signed-in';

/** Starts one: `{issuer, signIn, stop}`. `names` gives users' names; a user without one is called by their id. */
export async function startIdentityProvider(names = {}) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const provider = await startOidcProvider({
    clients: [{ client_id: APP_CLIENT, redirect_uris: [BACK], response_types: ['code'], token_endpoint_auth_method: 'none' }],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: randomBytes(4).toString('hex') }] },
    // The user's name is in the id_token itself, as with most hosted identity providers.
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: names[id] ?? id, email: `${id}@idp.test` }) }),
    features: {
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({ scope: 'act', audience: APP_CLIENT, accessTokenFormat: 'jwt' }),
      },
    },
  });
  return { issuer: provider.issuer, names, signIn: (user) => signIn(provider.issuer, user), stop: provider.stop };
}

/** `{id_token, access_token}`, both JWTs: the second is for the app's API (RFC 9068). */
async function signIn(issuer, user) {
  const cookies = new Map();
  const go = async (url, form) => {
    const headers = { Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
    if (form) headers['Content-Type'] = 'application/x-www-form-urlencoded';
    const answer = await request(url, { method: form ? 'POST' : 'GET', headers, body: form ? new URLSearchParams(form).toString() : '' });
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [pair] = line.split(';');
      const cut = pair.indexOf('=');
      cookies.set(pair.slice(0, cut), pair.slice(cut + 1));
    }
    const next = answer.headers.location && new URL(answer.headers.location, url).href;
    return next && !next.startsWith(BACK) ? go(next) : { url: next ?? url, body: answer.body };
  };
  const verifier = randomBytes(32).toString('base64url');
  const authorize = new URL(`${issuer}/auth`);
  authorize.search = new URLSearchParams({
    client_id: APP_CLIENT, redirect_uri: BACK, response_type: 'code', scope: 'openid profile email act', resource: 'urn:the-app',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  });
  const loginPage = await go(authorize.href);
  const consentPage = await go(loginPage.url, { prompt: 'login', login: user, password: 'anything' });
  const back = new URL((await go(consentPage.url, { prompt: 'consent' })).url);
  const code = back.searchParams.get('code');
  if (!code) throw new Error(`no code came back: ${back.href}`);
  const { body } = await go(`${issuer}/token`, {
    grant_type: 'authorization_code', code, client_id: APP_CLIENT, redirect_uri: BACK, code_verifier: verifier,
  });
  const tokens = JSON.parse(body);
  if (!tokens.id_token) throw new Error(body);
  return tokens;
}
