// The way back from a redirect flow, as a browser goes it: from the app's page by a form, and back over the provider.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { person } from './harness/browser.mjs';
import { approve, visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

let world, app;
before(async () => {
  world = await startWorld({ log: 'way-back' });
  app = await world.rawApp('Reader');
  app.site.routes['/plain'] = plain;
});
after(() => world?.stop());

/** A return page without our SDK, which would take the parameters out of the address. */
const plain = (_, answer) => answer.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>An app</title>');

/** Leaves the app's page with the whole window, as the SDK does. Resolves at the provider's page. */
async function leave(page) {
  const bytes = randomBytes(32);
  const v = bytes.toString('base64url');
  const minted = await app.backend.mint({ allowed_origin: app.site.origin, return_url: `${app.site.origin}/plain?tab=2#there` });
  const fields = { session: minted.session_token, cb: createHash('sha256').update(bytes).digest('base64url'), m: 'r' };
  await page.evaluate(submit, [`${world.origin}/connect/open`, 'post', fields]);
  await page.locator('body[data-page="consent"]').waitFor();
  await approve(page);
  await page.locator('h1:text("Raw provider")').waitFor();
  return { v, token: minted.session_token };
}

const submit = ([action, method, fields]) => {
  const form = Object.assign(document.createElement('form'), { action, method });
  for (const [name, value] of Object.entries(fields)) {
    form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));
  }
  document.body.append(form);
  form.submit();
};

/** Back at the app: what is in its address. */
async function arrive(page) {
  await page.waitForURL((url) => url.origin === app.site.origin);
  const url = new URL(await page.url());
  assert.deepEqual([url.searchParams.get('tab'), url.hash], ['2', '#there']);
  return url;
}

/** What the page at `return_url` fetches. */
const redeem = (page, url, v) =>
  page.evaluate(async ([to, body]) => {
    const answer = await fetch(to, { method: 'POST', headers: { 'Content-Type': 'text/plain' }, body });
    return answer.json();
  }, [`${world.origin}/connect/result`, JSON.stringify({ result_code: url.searchParams.get('alter_result_code'), sid: null, v })]);

test('t46_a provider whose form-action names only us and itself leads back to the app all the same', async () => {
  const context = await person(world.browser);
  const page = await visit(context, app.site);
  app.raw.headers = { 'Content-Security-Policy': `form-action 'self' ${world.origin}` };
  const { v } = await leave(page);
  // The provider's button is a form, so that its page's policy holds for every redirect that follows.
  const there = new URL(await page.locator('#alice').getAttribute('href'));
  await page.evaluate(submit, [there.origin + there.pathname, 'get', Object.fromEntries(there.searchParams)]);
  const url = await arrive(page);
  app.raw.headers = {};
  const told = await redeem(page, url, v);
  assert.equal(told.status, 'completed');
  assert.equal(told.connections[0].grant_id, url.searchParams.get('grant_id'));
  assert.deepEqual(await redeem(page, url, v), told, 'an answer may be lost');
  await context.close();
});

test('t51_the back button leads past our last page, and forward brings the same code', async () => {
  const context = await person(world.browser);
  const page = await visit(context, app.site);
  const { v } = await leave(page);
  await page.click('#alice');
  const url = await arrive(page);
  await page.goBack();
  assert.ok((await page.url()).startsWith(app.raw.origin), await page.url());
  await page.goForward();
  assert.equal((await arrive(page)).href, url.href);
  assert.equal((await redeem(page, url, v)).status, 'completed');
  await context.close();
});

test('a failure stays to be read, and its button leads back', async () => {
  const context = await person(world.browser);
  const page = await visit(context, app.site);
  const { v } = await leave(page);
  await page.click('#temporarily_unavailable');
  await page.locator('body[data-page="provider_error"]').waitFor();
  await page.click('a:has-text("Back to Reader")');
  const url = await arrive(page);
  assert.equal(url.searchParams.get('error_code'), 'oauth_provider_error');
  assert.equal((await redeem(page, url, v)).error, 'oauth_provider_error');
  await context.close();
});
