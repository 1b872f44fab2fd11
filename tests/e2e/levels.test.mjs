// L3: the app's backend has the last word, with what it kept in the session of its own user.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { devices } from 'playwright-core';
import { ended, person } from './harness/browser.mjs';
import { allowAs, approve, toRaw, visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

const FINALIZE = '/sdk/oauth/connect/session/finalize';

let world, app;
before(async () => {
  world = await startWorld({ log: 'levels' });
  app = await world.rawApp('Confirming', ['--min-binding', 'L3']);
});
after(() => world?.stop());

/** The backend keeps the verifier in the session of its user, and mints with its hash. */
function mintWithChallenge() {
  const verifier = randomBytes(32).toString('base64url');
  const challenge = createHash('sha256').update(verifier).digest('base64url');
  app.site.mint = { code_challenge: challenge, code_challenge_method: 'S256', return_url: `${app.site.origin}/connected` };
  return verifier;
}

/** What the app's page got: a connection that waits, and no grant. Its backend confirms it, and then it can be used. */
async function confirms(flow, verifier) {
  const [{ value: connection }] = flow.ends;
  const { grant_id, status, provider, account_identifier, metadata } = connection;
  assert.deepEqual([grant_id, status, provider, account_identifier], ['', 'pending', 'raw', 'alice@raw.test']);
  const other = randomBytes(32).toString('base64url');
  const done = await app.backend.post(FINALIZE, { result_code: metadata.result_code, code_verifier: verifier });
  assert.equal(done.status, 200, done.body);
  const [{ grant_id: made }] = done.json.grants;
  assert.equal((await app.backend.call(made, `${app.raw.origin}/userinfo`)).status, 200);
  const late = await app.backend.post(FINALIZE, { result_code: metadata.result_code, code_verifier: other });
  assert.equal(late.status, 403, late.body);
  assert.equal((await app.backend.call(made, `${app.raw.origin}/userinfo`)).status, 200, 'what was confirmed stays');
}

test('t03_in a popup the page gets the code for its backend, and the backend confirms', async () => {
  const verifier = mintWithChallenge();
  const context = await person(world.browser);
  const page = await visit(context, app.site);
  await allowAs(await toRaw(page));
  const flow = await ended(page);
  assert.deepEqual(flow.ends.map(({ kind }) => kind), ['success']);
  await confirms(flow, verifier);
  assert.deepEqual(context.faults, []);
  await context.close();
});

test('t03_on a phone the code comes back with the user, and the backend confirms', async () => {
  const verifier = mintWithChallenge();
  const context = await person(world.browser, devices['Pixel 7']);
  const page = await visit(context, app.site);
  await page.click('#connect:enabled');
  await approve(page);
  await allowAs(page);
  await page.locator('h1:text("An app")').waitFor();
  await confirms(await ended(page), verifier);
  await context.close();
});

test('t03_a victim who is led through somebody else\'s flow connects nothing', async () => {
  const mine = mintWithChallenge();
  const context = await person(world.browser);
  const page = await visit(context, app.site);
  await allowAs(await toRaw(page));
  const [{ value: { metadata } }] = (await ended(page)).ends;
  // The backend looks into the session of whoever is signed in where the code arrived: the victim's has another verifier.
  const theirs = randomBytes(32).toString('base64url');
  const refused = await app.backend.post(FINALIZE, { result_code: metadata.result_code, code_verifier: theirs });
  assert.deepEqual([refused.status, refused.json.error], [403, 'binding_failed'], refused.body);
  const over = await app.backend.post(FINALIZE, { result_code: metadata.result_code, code_verifier: mine });
  assert.equal(over.status, 403, 'the flow is burnt: its code was in the wrong hands');
  const listed = await app.backend.post('/sdk/grants/list', {});
  assert.ok(!listed.body.includes(metadata.result_code));
  await context.close();
});
