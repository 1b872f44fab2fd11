// One server with everything around it: an app, its site, a provider or two, a browser.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from './alter.mjs';
import { launch } from './browser.mjs';
import { startIdentityProvider } from './identity.mjs';
import { OIDC_CLIENT, startOidcProvider } from './oidc-provider.mjs';
import { CLIENT, startRawProvider } from './raw-provider.mjs';
import { startSite } from './site.mjs';

/** Starts a server and a browser (`open` starts another one than Chromium). Everything started through it ends with `stop()`. */
export async function startWorld({ tls = true, log, database, open = launch }) {
  const [server, browser] = await Promise.all([startServer({ tls, log, database }), open()]);
  const ends = [() => browser.close(), () => server.stop()];
  const own = async (starting) => {
    const thing = await starting;
    ends.unshift(() => thing.stop());
    return thing;
  };
  // No two apps have one name: the second reader is "Reader 2".
  const taken = new Map();
  const free = (name) => {
    taken.set(name, (taken.get(name) ?? 0) + 1);
    return taken.get(name) === 1 ? name : `${name} ${taken.get(name)}`;
  };
  const world = {
    origin: server.origin,
    seen: server.seen,
    server,

    /** What the server answers at matching targets is changed on its way, until the function that this returns is called. */
    rewrite(matches, rewrite) {
      const entry = { matches, rewrite };
      server.rewrites.push(entry);
      return () => server.rewrites.splice(server.rewrites.indexOf(entry), 1);
    },
    /** On our pages, timers of `ms` wait until the page's `timePasses()` is called. */
    holdTimers: (ms) => world.rewrite(/connect\.[^/]+\.js$/, (script) => `{
  const later = window.setTimeout.bind(window);
  let held = [];
  window.setTimeout = (then, after, ...more) => (after === ${ms} && held ? held.push(() => then(...more)) : later(then, after, ...more));
  window.timePasses = () => {
    for (const then of held ?? []) then();
    held = null;
  };
}
${script}`),
    cli: server.cli,
    withSecret: server.withSecret,
    browser,
    site: (host) => own(startSite(host)),
    raw: (host) => own(startRawProvider(host)),
    oidc: () => own(startOidcProvider()),
    idp: () => own(startIdentityProvider()),
    stop: async () => {
      for (const end of ends) await end();
    },

    /** An app with a site of its own: `{id, key, site, backend}`. */
    async app(name, ...flags) {
      const site = await world.site();
      const made = await server.cli('app', 'create', free(name), '--website-url', site.origin, ...flags);
      return { id: made.app_id, key: made.api_key, site, backend: site.attach(server.origin, made.api_key) };
    },

    /** Configures the OpenID provider on an app, by discovery. */
    async addOidc(app, provider, id = 'oidc') {
      const set = await server.withSecret(OIDC_CLIENT.secret, 'provider', 'set', app.id, id, '--client-id', OIDC_CLIENT.id,
        '--client-secret-stdin', '--issuer', provider.issuer, '--scopes', 'openid email profile', '--api-host', provider.host);
      provider.register(set.callback_url);
      return set;
    },

    /** Configures a raw provider on an app, by a recipe file; `facts` are added to the recipe. */
    async addRaw(app, provider, { id = 'raw', name = 'Raw', facts = '', words = '' } = {}) {
      const dir = mkdtempSync(join(tmpdir(), 'alter-e2e-spec-'));
      const quoted = JSON.stringify(name);
      const base = provider.origin;
      writeFileSync(join(dir, 'spec.toml'), `id = "${id}"
name = ${quoted}
authorize_url = "${base}/authorize"
token_url = "${base}/token"
userinfo_url = "${base}/userinfo"
default_scopes = ["read"]
api_hosts = ["${new URL(base).host}"]
${facts}
[identity]
from = "userinfo"
[scopes]
"read" = ${JSON.stringify(words || 'Read your things')}
`);
      try {
        return await server.withSecret(CLIENT.secret, 'provider', 'set', app.id, id, '--client-id', CLIENT.id,
          '--client-secret-stdin', '--spec', join(dir, 'spec.toml'));
      } finally {
        rmSync(dir, { recursive: true });
      }
    },

    /** An app with the raw provider only: what most tests need. */
    async rawApp(name = 'An app', flags = [], facts = {}) {
      const [app, raw] = [await world.app(name, ...flags), await world.raw()];
      await world.addRaw(app, raw, facts);
      return { ...app, raw };
    },
  };
  return world;
}
