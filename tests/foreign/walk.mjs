// Walks through authorization servers of other people in Chromium, as an operator and a user would: configure, connect,
// agree at the server's own pages, use the account, refresh, refuse, revoke. `./run --record` writes results.md.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ended, look, person, until } from '../e2e/harness/browser.mjs';
import { toConsent, visit } from '../e2e/harness/journey.mjs';
import { request } from '../e2e/harness/net.mjs';
import { startWorld } from '../e2e/harness/world.mjs';
import { record } from './record.mjs';
import { CLIENT, SERVERS, startForeign } from './servers.mjs';

const asked = process.argv.slice(2).filter((word) => word !== '--record');
const unknown = asked.filter((name) => !SERVERS[name]);
if (unknown.length) throw new Error(`not a server of servers.mjs: ${unknown}; there are ${Object.keys(SERVERS).join(', ')}`);

const world = await startWorld({ tls: false, log: 'foreign' });
const results = [];
try {
  for (const name of asked.length ? asked : Object.keys(SERVERS)) results.push(await walk(name, SERVERS[name]));
} finally {
  await world.stop();
}
if (process.argv.includes('--record')) record(results, world.browser.version());
process.exitCode = results.some(({ failed }) => failed) ? 1 : 0;

/** One server, from `alter provider set` to the revocation. A step that fails ends the walk of its server. */
async function walk(name, facts) {
  const result = { name, facts, steps: [], failed: undefined };
  const step = async (what, run) => {
    const began = Date.now();
    const seen = await run();
    result.steps.push({ what, seen: seen ?? '' });
    console.log(`  ${what}: ${seen ?? 'ok'} (${Date.now() - began} ms)`);
  };
  console.log(`${name}: ${facts.how}`);
  const foreign = await startForeign(name);
  try {
    await steps(step, await world.app(name), foreign, facts, name);
  } catch (error) {
    result.failed = error;
    console.error(`  FAILED after "${result.steps.at(-1)?.what ?? 'start'}":`, error);
  } finally {
    await foreign.stop();
  }
  return result;
}

async function steps(step, app, foreign, facts, name) {
  const { backend } = app;
  const api = foreign.origin + facts.api.path;
  let grant;
  await step('operator: `alter provider set`', () => configure(app, foreign, facts));
  await step('user: connect, log in and agree', async () => {
    const { value, events } = await connect(app, facts, name);
    assert.deepEqual([value.account_identifier, value.operation, value.status], [facts.account, 'creation', 'active']);
    grant = value.grant_id;
    return `account ${value.account_identifier}, scopes ${value.scopes.join(' ')}; ${events.join(' ')}`;
  });
  await step('backend: the session is completed', async () => {
    const { status, grants } = await backend.poll(app.site.tokens.at(-1));
    assert.deepEqual([status, grants[0].grant_id], ['completed', grant]);
  });
  await step('backend: call the API with a released token', async () => {
    const { body } = await call(backend, grant, api);
    return `200, ${facts.api.owner(JSON.parse(body))}`;
  });
  await step('backend: a token that nears its end is refreshed', () => refresh(backend, grant, api));
  await step('user: connect the same account again', async () => {
    const { value } = await connect(app, facts);
    assert.deepEqual([value.grant_id, value.operation], [grant, 'reauth']);
    return 'the same grant';
  });
  if (facts.deny) await step('user: refuse at the server', () => refuse(app, facts));
  await step('backend: revoke the grant', () => revoke(backend, grant, api, facts));
}

/** As an operator would: the client's secret on standard input, the facts by `--issuer` or in a `--spec` file. */
async function configure(app, foreign, facts) {
  const dir = mkdtempSync(join(tmpdir(), 'alter-foreign-'));
  const flags = facts.set(foreign.origin);
  try {
    if (facts.spec) {
      writeFileSync(join(dir, 'spec.toml'), facts.spec(foreign.origin));
      flags.push('--spec', join(dir, 'spec.toml'));
    } else flags.push('--api-host', new URL(foreign.origin).host);
    const set = await world.withSecret(CLIENT.secret, 'provider', 'set', app.id, 'foreign', '--client-id', CLIENT.id,
      '--client-secret-stdin', ...flags);
    await foreign.register(set.callback_url);
    return (set.warnings ?? []).join(' ') || undefined;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** From the app's button to the result. Each time with a browser that nobody has used, so that the user logs in. */
async function connect(app, facts, name) {
  return through(app, async (popup) => {
    await facts.logIn?.(popup);
    if (name && facts.allow) await lookAt(popup, facts, name);
    await facts.allow?.(popup);
  }, 'success');
}

async function lookAt(popup, facts, name) {
  await popup.locator('button, input[type="submit"]').nth(1).waitFor();
  await look(popup, `foreign-${name.replace(/\W+/g, '-')}`, { foreign: true });
}

async function refuse(app, facts) {
  const { value } = await through(app, async (popup) => {
    await facts.logIn(popup);
    await facts.deny(popup);
  }, 'error');
  assert.equal(value.code, 'oauth_denied');
  return value.code;
}

async function through(app, atServer, kind) {
  const context = await person(world.browser);
  const page = await visit(context, app.site);
  const popup = await toConsent(page);
  await popup.click('[data-do="approve"]', { noWaitAfter: true });
  await atServer(popup);
  const flow = await ended(page);
  assert.deepEqual(flow.ends.map((end) => end.kind), [kind], JSON.stringify(flow.ends));
  assert.deepEqual(context.faults.filter((fault) => fault.includes(world.origin)), []);
  await context.close();
  return { value: flow.ends[0].value, events: flow.events.map((event) => event.name) };
}

/** Calls the API with a released token; with another one, if a busy machine let the token run out in between. */
async function call(backend, grant, api) {
  let answer;
  await until(async () => {
    const { access_token } = await backend.token(grant, api);
    answer = await request(api, { headers: { Authorization: `Bearer ${access_token}` } });
    return answer.status === 200;
  });
  return answer;
}

/** The token nears its end, and the backend gets another one. */
async function refresh(backend, grant, api) {
  const before = await backend.token(grant, api);
  let after = before;
  await until(async () => {
    after = await backend.token(grant, api);
    return after.token_generation !== before.token_generation;
  });
  assert.notEqual(after.access_token, before.access_token);
  await call(backend, grant, api);
  return 'a new token, and the API takes it';
}

async function revoke(backend, grant, api, facts) {
  const { access_token } = await backend.token(grant, api);
  const revoked = await backend.post(`/sdk/oauth/grants/${grant}/revoke`, {});
  assert.deepEqual([revoked.status, revoked.json.revocation], [200, facts.revocation], revoked.body);
  const again = await backend.post('/sdk/token', { grant_id: grant, reason: 'test', request: { method: 'GET', url: api } });
  assert.deepEqual([again.status, again.json.error ?? again.json.code], [403, 'grant_revoked'], again.body);
  const { status } = await request(api, { headers: { Authorization: `Bearer ${access_token}` } });
  assert.ok(status !== 200 || !facts.forgets, 'the API takes the token of a revoked grant');
  return `${revoked.json.revocation}; the API answers ${status} to its last token`;
}
