// How a flow ends: refused, failed, left, several accounts at once; and what does not end it (reload, back, T51).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { at, clickConnect, ended, look, pause, person, told, until } from './harness/browser.mjs';
import { allowAs, answerWith, approve, closeByHand, toConsent, toRaw, visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

const names = (flow) => flow.events.map((event) => event.name);

let world, app;
before(async () => {
  world = await startWorld({ log: 'ends' });
  app = await world.rawApp('Reader');
});
after(() => world?.stop());

const scene = async () => {
  const context = await person(world.browser);
  return { context, page: await visit(context, app.site) };
};
const kinds = (flow) => flow.ends.map((end) => [end.kind, end.value?.code]);

test('a refusal on our consent page is oauth_denied and never reaches the provider', async () => {
  const { context, page } = await scene();
  const before = app.raw.authorizations();
  const popup = await toConsent(page);
  await popup.click('[data-do="cancel"]');
  const flow = await ended(page);
  assert.deepEqual(kinds(flow), [['error', 'oauth_denied']]);
  assert.equal(flow.ends[0].value.message, 'Raw is not connected, because access was declined. You can start again.');
  assert.equal(app.raw.authorizations(), before);
  await context.close();
});

test('a provider that fails is oauth_provider_error with its code', async () => {
  const { context, page } = await scene();
  const popup = await toRaw(page);
  await answerWith(popup, 'temporarily_unavailable');
  const flow = await ended(page);
  assert.deepEqual(kinds(flow), [['error', 'oauth_provider_error']]);
  assert.equal(flow.ends[0].value.details.provider_error, 'temporarily_unavailable');
  assert.equal(flow.ends[0].value.message, 'Raw is not answering. Wait a minute and try again.');
  await context.close();
});

test('after a failure the popup stays to be read, until the app opens the next one', async () => {
  const { context, page } = await scene();
  const popup = await toRaw(page);
  await answerWith(popup, 'temporarily_unavailable');
  await ended(page);
  await at(popup, 'provider_error');
  await pause(2500);
  assert.equal(await popup.isClosed(), false);
  const next = await toConsent(page);
  await until(() => popup.isClosed());
  assert.equal(await next.isClosed(), false);
  await context.close();
});

test('with several providers a refusal leads back to the picker, and several accounts come back together', async () => {
  const second = await world.raw();
  const both = await world.app('Two services');
  await world.addRaw(both, app.raw, { id: 'one', name: 'One' });
  await world.addRaw(both, second, { id: 'two', name: 'Two' });
  const context = await person(world.browser);
  const page = await visit(context, both.site);
  const popup = await at(await clickConnect(page), 'picker');
  await popup.click('[data-provider="one"]');
  await at(popup, 'consent');
  await approve(popup);
  await answerWith(popup, 'access_denied');
  await at(popup, 'denied');
  await popup.click('[data-do="back"]');
  for (const provider of ['one', 'two']) {
    await popup.click(`[data-do="select"][data-provider="${provider}"]`);
    await popup.locator('body[data-page="consent"]').waitFor();
    await approve(popup);
    await allowAs(popup, 'bob');
    await popup.locator('body[data-page="picker"]').waitFor();
  }
  await look(popup, 'picker-connected');
  await popup.click('[data-do="finish"]');
  const flow = await ended(page);
  assert.equal(flow.ends[0].kind, 'success');
  assert.deepEqual(flow.ends[0].all.map((c) => c.provider), ['one', 'two']);
  await context.close();
});

test('a user who closes the popup on our page is reported once', async () => {
  const { context, page } = await scene();
  const popup = await toConsent(page);
  await closeByHand(popup);
  const began = Date.now();
  const flow = await ended(page);
  const took = flow.ends[0].at - began;
  console.log(`# onExit ${took} ms after the close`);
  assert.deepEqual(kinds(flow), [['exit', undefined]]);
  assert.equal(names(flow).at(-1), 'EXIT');
  await pause(1500);
  assert.equal((await told(page)).ends.length, 1);
  await context.close();
});

test('a reload of the consent page is no exit, and the flow goes on', async () => {
  const { context, page } = await scene();
  const popup = await toConsent(page);
  for (let n = 0; n < 2; n += 1) {
    await popup.reload();
    await popup.locator('body[data-page="consent"]').waitFor();
  }
  await pause(4000);
  assert.deepEqual((await told(page)).ends, []);
  await approve(popup);
  await allowAs(popup);
  assert.deepEqual(kinds(await ended(page)), [['success', undefined]]);
  await context.close();
});

test('t51_back_from_the_provider_shows_the_current_state_and_the_flow_goes_on', async () => {
  const { context, page } = await scene();
  const popup = await toRaw(page);
  await popup.goBack();
  await popup.locator('body[data-page="consent"]').waitFor();
  await popup.goForward();
  await popup.locator('h1:text("Raw provider")').waitFor();
  await popup.goBack();
  await popup.locator('body[data-page="consent"]').waitFor();
  await pause(3500);
  assert.deepEqual((await told(page)).ends, []);
  await approve(popup);
  await allowAs(popup, 'bob');
  const flow = await ended(page);
  assert.deepEqual(kinds(flow), [['success', undefined]]);
  assert.equal(flow.ends[0].value.account_identifier, 'bob@raw.test');
  await context.close();
});

test('after a closed popup the button works again', async () => {
  const { context, page } = await scene();
  const first = await toConsent(page);
  await first.close();
  await allowAs(await toRaw(page));
  await page.locator('#end:has-text("success")').waitFor();
  assert.deepEqual(kinds(await told(page)), [['exit', undefined], ['success', undefined]]);
  await context.close();
});

test('t55_a token that was used before is session_expired', async () => {
  const { context, page } = await scene();
  await allowAs(await toRaw(page));
  await ended(page);
  const [end] = (await secondUse(app.site.tokens.at(-1))).ends;
  await context.close();
  assert.deepEqual([end.kind, end.value.code, end.value.details?.reason], ['error', 'session_expired', 'used']);
});

test('t55_a token that another browser has is session_expired', async () => {
  const { context, page } = await scene();
  await toConsent(page);
  const flow = await secondUse(app.site.tokens.at(-1)).finally(() => context.close());
  const [end] = flow.ends;
  assert.deepEqual([end.kind, end.value.code, end.value.details?.reason], ['error', 'session_expired', 'other_browser']);
});

/** Opens a flow in another browser, with a token that was used before. */
async function secondUse(token) {
  app.site.nextToken = token;
  const context = await person(world.browser);
  try {
    const page = await visit(context, app.site);
    await page.click('#connect:enabled');
    return await ended(page);
  } finally {
    await context.close();
  }
}
