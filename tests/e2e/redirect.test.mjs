// The redirect transport, as people on phones and tablets walk it: out of the app's page, through ours and the
// provider's, and back to the app's return page.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { devices } from 'playwright-core';
import { at, ended, launchWithBackCache, person, personWithoutCookies, told, until } from './harness/browser.mjs';
import { lacks } from './harness/engines.mjs';
import { allowAs, answerWith, approve, backTo, visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

const PHONE = devices['Pixel 7'];
const IPHONE = devices['iPhone 15'];
const TABLET = devices['iPad Mini'];
const SIDEWAYS = devices['iPad Mini landscape'];
const AS_A_MAC = { ...TABLET, userAgent: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15' };

/** A page out of the back-forward cache does not load. */
const COMMIT = { waitUntil: 'commit' };

let world, app;
before(async () => {
  world = await startWorld({ log: 'redirect', open: launchWithBackCache });
  app = await world.rawApp('Reader');
  app.site.mint = { return_url: `${app.site.origin}/connected?tab=2#there` };
});
after(() => world?.stop());

const kinds = (flow) => flow.ends.map((end) => end.kind);
const code = (flow) => flow.ends.map((end) => end.value?.code);
/** The calls of a path that the server has seen, since `from`. */
const calls = (path, from = 0) => world.seen.slice(from).filter(({ method, target }) => method === 'POST' && target === path);

/** From the app's button to the consent page, in the same tab. */
async function leave(page) {
  await page.click('#connect:enabled');
  return at(page, 'consent');
}

async function toProvider(page) {
  await approve(await leave(page));
  await page.locator('h1:text("Raw provider")').waitFor();
}

const back = (page) => backTo(page, 'h1:text("An app")');

/** The whole way, to the end that the return page reports. */
async function walk(context, { query = '', prepare = () => {}, leaveProvider = (page) => allowAs(page) } = {}) {
  const page = await visit(context, app.site, query);
  await prepare(page);
  await toProvider(page);
  await leaveProvider(page);
  await back(page);
  return { page, flow: await ended(page) };
}

for (const [name, device] of Object.entries({ 'an Android phone': PHONE, 'an iPhone': IPHONE, 'an upright tablet': TABLET, 'an iPad that says it is a Mac': AS_A_MAC })) {
  test(`${name} leaves the page, connects and comes back with the connection`, { skip: device === AS_A_MAC && lacks('touch') }, async () => {
    const context = await person(world.browser, device);
    const from = world.seen.length;
    const { page, flow } = await walk(context);
    assert.deepEqual(kinds(flow), ['returned success']);
    const [{ value: connection, all }] = flow.ends;
    assert.equal(connection.provider, 'raw');
    assert.deepEqual(all, [connection]);
    assert.equal(await page.url(), `${app.site.origin}/connected?tab=2#there`, 'our parameters are gone, the app keeps its own');
    assert.equal((await context.pages()).length, 1, 'no popup');
    assert.equal(calls('/connect/open', from).length, 1, 'door A');
    assert.equal(calls('/connect/result', from).length, 1);
    assert.equal((await app.backend.call(connection.grant_id, `${app.raw.origin}/userinfo`)).status, 200);
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    assert.deepEqual(context.faults, []);
    await context.close();
  });
}

test('a tablet held sideways takes the popup', async () => {
  const context = await person(world.browser, SIDEWAYS);
  const page = await visit(context, app.site);
  const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#connect:enabled')]);
  await at(popup, 'consent');
  await context.close();
});

test('who refuses, and whose provider fails, comes back with the code', async () => {
  for (const [said, expected] of [['access_denied', 'oauth_denied'], ['temporarily_unavailable', 'oauth_provider_error']]) {
    const context = await person(world.browser, PHONE);
    const { flow } = await walk(context, { leaveProvider: (page) => answerWith(page, said) });
    assert.deepEqual([kinds(flow), code(flow)], [['returned error'], [expected]]);
    await context.close();
  }
});

test('who refuses on our consent page comes back with oauth_denied', async () => {
  const context = await person(world.browser, PHONE);
  const page = await visit(context, app.site);
  await leave(page);
  await page.click('[data-do="cancel"]');
  await back(page);
  assert.deepEqual(code(await ended(page)), ['oauth_denied']);
  await context.close();
});

test('t51_a reload of the return page reports nothing a second time', async () => {
  const context = await person(world.browser, PHONE);
  const { page } = await walk(context);
  const from = world.seen.length;
  await page.reload();
  await page.locator('#connect:enabled').waitFor();
  assert.deepEqual(kinds(await told(page)), []);
  assert.deepEqual(calls('/connect/result', from), []);
  await context.close();
});

test('t51_a reload while the answer is on its way gets the same outcome', async (t) => {
  const context = await person(world.browser, PHONE);
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  t.after(release);
  const stop = world.rewrite(/^\/connect\/result$/, (body) => held.then(() => body));
  const from = world.seen.length;
  const page = await visit(context, app.site);
  await toProvider(page);
  await allowAs(page);
  await back(page);
  await until(() => calls('/connect/result', from).some(({ status }) => status));
  stop();
  assert.equal(await page.url(), `${app.site.origin}/connected?tab=2#there`);
  assert.deepEqual(kinds(await told(page)), []);
  await page.reload();
  assert.deepEqual(kinds(await ended(page)), ['returned success']);
  await context.close();
});

test('t51_a return address that is opened in a second tab is worth nothing there', async () => {
  const context = await person(world.browser, PHONE);
  const { flow } = await walk(context);
  const target = app.site.seen.map((request) => request.target).findLast((seen) => seen.includes('alter_connect_success'));
  const from = world.seen.length;
  const second = await visit(context, { origin: app.site.origin }, target.slice(1));
  assert.deepEqual(code(await ended(second)), ['session_expired']);
  assert.deepEqual(calls('/connect/result', from), []);
  assert.equal(kinds(flow).length, 1);
  await context.close();
});

test('t51_back from our page shows the app as it was: exited once, cancelled, and its button works', async () => {
  const context = await person(world.browser, PHONE);
  const page = await visit(context, app.site);
  await page.evaluate(() => { window.sameDocument = true; });
  await leave(page);
  const token = app.site.tokens.at(-1);
  await page.goBack(COMMIT);
  const flow = await ended(page);
  assert.equal(await page.evaluate(() => window.sameDocument), true, 'out of the back-forward cache');
  assert.deepEqual([kinds(flow), flow.events.map((event) => event.name)], [['exit'], ['OPEN', 'EXIT']]);
  await until(async () => (await app.backend.poll(token)).status === 'error');
  await leave(page);
  await context.close();
});

test('t51_back to a page that was loaded anew says nothing, and the flow can still be finished from there', { skip: lacks('a page not kept') }, async () => {
  const context = await person(world.browser, PHONE);
  const page = await visit(context, app.site);
  // A page with this listener is not kept.
  await page.evaluate(() => addEventListener('unload', () => {}));
  await leave(page);
  await page.goBack(COMMIT);
  await page.locator('#connect:enabled').waitFor();
  assert.deepEqual(kinds(await told(page)), []);
  await page.goForward(COMMIT);
  await approve(await at(page, 'consent'));
  await allowAs(page);
  await back(page);
  assert.deepEqual(kinds(await ended(page)), ['returned success']);
  await context.close();
});

test('t51_back and forward after the end redeem nothing twice', async () => {
  const context = await person(world.browser, PHONE);
  const { page } = await walk(context);
  const grants = async () => (await app.backend.poll(app.site.tokens.at(-1))).grants.length;
  assert.equal(await grants(), 1);
  await page.goBack(COMMIT);
  await page.goForward(COMMIT).catch(() => {});
  await page.goto(`${app.site.origin}/connected`);
  await page.locator('#connect:enabled').waitFor();
  assert.ok(!kinds(await told(page)).includes('returned success'));
  assert.equal(await grants(), 1);
  await context.close();
});

test('a browser that keeps nothing is told storage_blocked before it leaves', { skip: lacks('storage off') }, async () => {
  const context = await personWithoutCookies(PHONE);
  const page = await visit(context, app.site);
  await page.click('#connect:enabled');
  const flow = await ended(page);
  assert.deepEqual([kinds(flow), code(flow)], [['error'], ['storage_blocked']]);
  assert.equal(new URL(await page.url()).origin, app.site.origin);
  await context.close();
});

test('a browser that keeps no cookies, but what the tab needs, comes back with binding_failed', { skip: !lacks('storage off') && 'blocked with the cookies' }, async () => {
  const context = await personWithoutCookies(PHONE);
  const page = await visit(context, app.site);
  await page.click('#connect:enabled');
  await page.locator('h1:has-text("blocked a cookie")').waitFor();
  await back(page);
  const flow = await ended(page);
  assert.deepEqual([kinds(flow), code(flow)], [['returned error'], ['binding_failed']]);
  assert.equal(flow.ends[0].value.details.reason, 'cookies_blocked');
  await context.close();
});

test('an app whose CSP forbids the form comes back with what to change, by door B', async () => {
  const context = await person(world.browser, PHONE);
  const page = await visit(context, app.site, '?csp=no-form');
  const from = world.seen.length;
  await page.click('#connect:enabled');
  await page.click('a.go');
  const flow = await ended(page);
  assert.deepEqual([kinds(flow), code(flow)], [['returned error'], ['binding_failed']]);
  assert.equal(calls('/connect/open', from).length, 0);
  await context.close();
});

test('under no-referrer the form still says where it comes from', async () => {
  const context = await person(world.browser, PHONE);
  const { flow } = await walk(context, { query: '?referrer=no-referrer' });
  assert.deepEqual(kinds(flow), ['returned success']);
  await context.close();
});

test('fallback: where the popup is blocked, a desktop leaves by redirect', async () => {
  const context = await person(world.browser);
  const blocked = (page) => page.evaluate(() => { window.open = () => null; });
  const { flow } = await walk(context, { query: '?fallback=redirect', prepare: blocked });
  assert.deepEqual(kinds(flow), ['returned success']);
  await context.close();
});

test('t42_forged returns are never believed, with a flow of this tab under way and without', async () => {
  const context = await person(world.browser, PHONE);
  const page = await visit(context, app.site);
  const forged = 'alter_connect_success=true&grant_id=other&provider=raw&account_identifier=a%40b.test';
  for (const ticket of ['', 'alter_result_code=x&', `alter_result_code=${'a'.repeat(26)}${'b'.repeat(43)}&`, `alter_sid=${'a'.repeat(26)}&`]) {
    for (const started of [false, true]) {
      if (started) {
        await page.goto(`${app.site.origin}/`);
        await leave(page);
      }
      await page.goto(`${app.site.origin}/connected?${ticket}${forged}`);
      assert.deepEqual(kinds(await ended(page)), ['returned error'], `${ticket} ${started}`);
      assert.equal(await page.url(), `${app.site.origin}/connected`);
    }
  }
  await context.close();
});
