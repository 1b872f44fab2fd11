// Links: an app without a page. Its user signs in at a certified OpenID provider on our page, in a real browser.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { at, look, person } from './harness/browser.mjs';
import { Backend } from './harness/backend.mjs';
import { allowAs, approve, consentAtOidc, logIn } from './harness/journey.mjs';
import { OIDC_CLIENT } from './harness/oidc-provider.mjs';
import { startWorld } from './harness/world.mjs';

const SESSION = '/sdk/oauth/connect/session';

let world, tool, raw;
before(async () => {
  world = await startWorld({ log: 'links' });
  const idp = await world.oidc();
  raw = await world.raw();
  const made = await world.cli('app', 'create', 'Release tool', '--allow-auth-sessions');
  await world.addRaw({ id: made.app_id }, raw);
  const set = await world.withSecret(OIDC_CLIENT.secret, 'idp', 'set', made.app_id, '--issuer', idp.issuer,
    '--audience', 'the-tools-own', '--client-id', OIDC_CLIENT.id, '--client-secret-stdin');
  idp.register(set.callback_url);
  tool = new Backend(world.origin, made.api_key);
});
after(() => world?.stop());

/** Opens an address as somebody types or clicks it: no page of the app is behind it. */
async function openLink(context, address) {
  const page = await context.newPage();
  await page.goto(address);
  return page;
}

/** Signs in at the OpenID provider, where nobody is signed in yet. */
async function signInAs(page, user) {
  await page.click('[data-do="sign-in"]:not([aria-disabled="true"])');
  await page.locator('input[name="login"]').waitFor();
  await logIn(page, user);
  await page.locator('body:not(:has(input[name="login"]))').waitFor({ state: 'attached' });
  await consentAtOidc(page);
}

/** The program asks who its user is; the person signs in, in any browser. Returns the user's token. */
async function whoIs(context, user) {
  const asked = await tool.post('/sdk/auth/session', {});
  assert.equal(asked.status, 201, asked.body);
  const waiting = tool.post('/sdk/auth/poll', { session_token: asked.json.session_token, wait_ms: 25_000 });
  const page = await openLink(context, asked.json.auth_url);
  await at(page, 'sign_in');
  assert.ok((await page.textContent('main')).includes(asked.json.user_code), 'both sides show the same code');
  assert.ok(!(await page.url()).includes('alter_as_'), 'the token is in no address');
  await signInAs(page, user);
  await page.locator('h1:text("You are signed in")').waitFor();
  await look(page, 'signed-in');
  let told = (await waiting).json;
  if (told.status === 'pending') told = (await tool.post('/sdk/auth/poll', { session_token: asked.json.session_token })).json;
  assert.deepEqual([told.status, told.user_info?.sub], ['completed', user], JSON.stringify(told));
  return told.user_token;
}

const mint = async (userToken) => {
  const minted = await tool.post(SESSION, { user_token: userToken });
  assert.equal(minted.status, 201, minted.body);
  return minted.json;
};

test('t06_a person signs in by a link, connects, and the program has the grant', async () => {
  const context = await person(world.browser);
  const session = await mint(await whoIs(context, 'ann'));
  const page = await openLink(context, session.connect_url);
  await at(page, 'sign_in');
  // The provider remembers who signed in a moment ago, and asks nothing again.
  await page.click('[data-do="sign-in"]');
  await at(page, 'consent');
  await allowAs(await approve(page));
  await at(page, 'done');
  assert.match(await page.textContent('main'), /You can close this window/);
  const polled = await tool.post(`${SESSION}/poll`, { session_token: session.session_token });
  assert.equal(polled.json.status, 'completed', polled.body);
  const listed = await tool.post('/sdk/grants/list', {});
  const [grant] = listed.json.grants;
  assert.deepEqual([grant.binding, grant.signed_in], ['L2', true]);
  assert.equal((await tool.call(grant.grant_id, `${raw.origin}/userinfo`)).status, 200);
  assert.deepEqual(context.faults, []);
  await context.close();
});

test('t01_somebody else who is sent the link signs in as another user, and nothing is connected', async () => {
  const attacker = await person(world.browser);
  const session = await mint(await whoIs(attacker, 'mallory'));
  await attacker.close();
  const victim = await person(world.browser);
  const page = await openLink(victim, session.connect_url);
  await signInAs(page, 'victor');
  await page.locator('main:has-text("You are not the one who started this")').waitFor();
  await look(page, 'sign-in-other-user');
  const polled = await tool.post(`${SESSION}/poll`, { session_token: session.session_token });
  assert.equal(polled.json.status, 'pending', polled.body);
  await page.click('[data-do="cancel"]');
  await at(page, 'cancelled');
  assert.equal((await tool.post('/sdk/grants/list', {})).json.grants.length, 1, 'the one of the test before');
  assert.deepEqual(victim.faults, []);
  await victim.close();
});
