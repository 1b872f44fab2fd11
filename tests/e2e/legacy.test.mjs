// The published browser client 0.8.0, unmodified, with nothing but its `baseURL` pointed at us.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { clickConnect, ended, look, pause, person } from './harness/browser.mjs';
import { startEvil } from './harness/evil.mjs';
import { abortAtOidc, allowAs, answerWith, approve, consentAtOidc, logIn, toConsent, toRaw, visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

let world, app, evil;
before(async () => {
  world = await startWorld({ log: 'legacy' });
  app = await world.rawApp('Reader', ['--legacy-clients']);
  evil = await startEvil();
});
after(async () => {
  await evil?.stop();
  await world?.stop();
});

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

/** A hostile site leads a window, named as the client's, over a redirect of the app to the attacker's own session. */
async function lured(context, way) {
  const { connect_url: link, session_token: token } = await app.backend.mint({ allowed_origin: app.site.origin });
  const page = await context.newPage();
  const script = `open(${JSON.stringify(way(link))}, 'alter_oauth_popup', 'width=500,height=700')`;
  await page.goto(evil.page(`<button id="go">free money</button><script>go.onclick = () => { ${script} }</script>`));
  const [popup] = await Promise.all([context.waitForEvent('page'), page.click('#go')]);
  return { page, popup, token };
}
const leave = (link, now = '') => `${app.site.origin}/leave?now=${now}&to=${encodeURIComponent(link)}`;

test('t07_a redirect of the app opens nothing in a window that has shown other pages', async () => {
  const ways = {
    'a redirect after the page has loaded': (link) => leave(link),
    'a redirect at once, from a page of theirs': (link) =>
      evil.page(`<script>addEventListener('load', () => setTimeout(() => { location.href = ${JSON.stringify(leave(link, 1))} }, 100))</script>`),
  };
  for (const [way, led] of Object.entries(ways)) {
    const context = await person(world.browser);
    const before = app.raw.authorizations();
    const { page, popup, token } = await lured(context, led);
    await popup.locator('p:has-text("This window was already in use. Close it")').waitFor();
    await look(popup, 'used-window');
    assert.equal(app.raw.authorizations(), before, way);
    assert.deepEqual((await context.cookies()).filter((cookie) => cookie.name.includes('cs_')), [], way);
    assert.deepEqual(await page.evaluate(() => heard), [], `${way}: the opener heard nothing`);
    await context.close();

    app.site.nextToken = token;
    const user = await person(world.browser);
    const own = await visit(user, app.site, PUBLISHED);
    await allowAs(await toRaw(own));
    assert.deepEqual((await ended(own)).ends.map((end) => end.kind), ['success'], `${way}: the app's own button works`);
    await user.close();
  }
});

// What remains at L1, as SECURITY.md says: a redirect at once leaves no trace in a new window. Then only the user's click on
// the consent page stands between the hostile site and the provider.
test('t07_a redirect at once in a new window gets as far as the consent page and no further', async () => {
  const context = await person(world.browser);
  const before = app.raw.authorizations();
  const { popup } = await lured(context, (link) => leave(link, 1));
  await popup.locator('[data-do="approve"]').waitFor();
  await pause(1000);
  assert.equal(app.raw.authorizations(), before);
  await context.close();
});

test('a window that was left open is refused with its reason and closed, and the next click works', async () => {
  const context = await person(world.browser);
  const page = await visit(context, app.site, PUBLISHED);
  const left = await toConsent(page);
  await page.reload();
  await page.locator('#connect:enabled').click();
  const flow = await ended(page);
  assert.deepEqual(flow.ends.map((end) => [end.kind, end.value.code]), [['error', 'binding_failed']]);
  assert.match(flow.ends[0].value.message, /Close it, and start again from Reader/);
  if (!(await left.isClosed())) await left.waitForEvent('close');
  await allowAs(await toRaw(page));
  await page.locator('#end:text("error success")').waitFor();
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
