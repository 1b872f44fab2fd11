// The published browser client 0.8.0, unmodified, with nothing but its `baseURL` pointed at us.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { clickConnect, ended, look, person } from './harness/browser.mjs';
import { abortAtOidc, allowAs, answerWith, approve, consentAtOidc, logIn, toConsent, toRaw, visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

let world, app;
before(async () => {
  world = await startWorld({ log: 'legacy' });
  app = await world.rawApp('Reader', ['--legacy-clients']);
});
after(() => world?.stop());

const PUBLISHED = '?sdk=published';

test('the published client gets its success', async () => {
  const context = await person(world.browser);
  const page = await visit(context, app.site, PUBLISHED);
  await allowAs(await toRaw(page));
  const flow = await ended(page);
  assert.deepEqual(flow.ends.map((end) => end.kind), ['success']);
  const [connection] = [flow.ends[0].value].flat();
  assert.equal(connection.provider, 'raw');
  assert.equal(connection.account_identifier, 'alice@raw.test');
  assert.equal(connection.status, 'active');
  const me = await app.backend.call(connection.grant_id, `${app.raw.origin}/api/me`);
  assert.equal(me.json.email, 'alice@raw.test');
  assert.deepEqual(context.faults, []);
  await context.close();
});

test('the published client gets its success through an OpenID provider', async () => {
  const [other, oidc] = [await world.app('Other', '--legacy-clients'), await world.oidc()];
  await world.addOidc(other, oidc);
  const context = await person(world.browser);
  const page = await visit(context, other.site, PUBLISHED);
  const popup = await approve(await toConsent(page));
  await logIn(popup, 'erin');
  await consentAtOidc(popup);
  const flow = await ended(page);
  assert.deepEqual(flow.ends.map((end) => end.kind), ['success']);
  await context.close();
});

test('the published client gets a denial at the provider', async () => {
  const context = await person(world.browser);
  const page = await visit(context, app.site, PUBLISHED);
  await answerWith(await toRaw(page), 'access_denied');
  const flow = await ended(page);
  assert.deepEqual(flow.ends.map((end) => [end.kind, end.value.code]), [['error', 'oauth_denied']]);
  await context.close();
});

test('the published client gets a denial on our own page', async () => {
  const context = await person(world.browser);
  const page = await visit(context, app.site, PUBLISHED);
  const popup = await toConsent(page);
  await popup.click('[data-do="cancel"]');
  const flow = await ended(page);
  assert.deepEqual(flow.ends.map((end) => [end.kind, end.value.code]), [['error', 'oauth_denied']]);
  await context.close();
});

test('t08_an app that did not ask for published clients refuses them', async () => {
  const strict = await world.rawApp('Strict');
  const context = await person(world.browser);
  const page = await visit(context, strict.site, PUBLISHED);
  const popup = await clickConnect(page);
  await popup.locator('h1:has-text("Open this page from")').waitFor();
  await look(popup, 'open-from-app');
  assert.equal(strict.raw.authorizations(), 0);
  await context.close();
});

test('t07_t08_on an app with published clients a link still opens nothing', async () => {
  const before = app.raw.authorizations();
  const { connect_url: link } = await app.backend.mint({ allowed_origin: app.site.origin });
  const context = await person(world.browser);
  const page = await visit(context, app.site, PUBLISHED);
  const ways = {
    typed: async () => {
      const typed = await context.newPage();
      await typed.goto(link);
      return typed;
    },
    'a link inside the app': () => follow(page, { rel: 'opener', target: '_blank', href: link }),
    'a link inside the app, to nowhere in particular': () => follow(page, { rel: 'noopener', target: '_blank', href: link }),
  };
  for (const [way, open] of Object.entries(ways)) {
    const popup = await open();
    await popup.locator('h1:has-text("Open this page from")').waitFor();
    assert.equal(app.raw.authorizations(), before, way);
  }
  await context.close();
});

async function follow(page, attributes) {
  await page.evaluate((given) => {
    const link = document.body.appendChild(document.createElement('a'));
    Object.assign(link, given, { id: 'link', textContent: 'a link in a comment' });
  }, attributes);
  const [popup] = await Promise.all([page.context().waitForEvent('page'), page.click('#link')]);
  await page.evaluate(() => document.getElementById('link').remove());
  return popup;
}
