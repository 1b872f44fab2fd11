// Door B (the app's CSP forbids the form), and a scan of every place where the session token must not be found.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { clickConnect, ended, look, person, pause } from './harness/browser.mjs';
import { lacks } from './harness/engines.mjs';
import { allowAs, approve, toConsent, visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

let world, app;
before(async () => {
  world = await startWorld({ log: 'doors' });
  app = await world.rawApp('Reader');
});
after(() => world?.stop());

/** Every request that any page of a context sends: URL without fragment, and Referer. Where the driver tells of none, those
 *  that the servers see are all that is scanned. */
function record(context) {
  const seen = [];
  if (lacks('requests')) return seen;
  context.on('request', async (request) => {
    const entry = { target: request.url().split('#')[0], referer: request.headers().referer ?? '' };
    seen.push(entry);
    entry.referer ||= (await request.allHeaders().catch(() => ({}))).referer ?? '';
  });
  return seen;
}

/** The addresses in a tab's history, where the driver lists them. */
async function history(page) {
  if (lacks('history')) return [];
  const session = await page.context().newCDPSession(page);
  const { entries } = await session.send('Page.getNavigationHistory');
  await session.detach();
  return entries.flatMap((entry) => [entry.url, entry.userTypedURL]);
}

const hits = (secret, ...lists) =>
  lists.flat().flatMap((entry) => (typeof entry === 'string' ? [entry] : [entry.target, entry.referer])).filter((text) => text.includes(secret));

for (const csp of ['', 'no-form']) {
  const door = csp ? 'B, under form-action none' : 'A';
  test(`t43_door ${door}: the session token is in no URL, no Referer and no history entry`, async () => {
    const context = await person(world.browser);
    const requests = record(context);
    const page = await visit(context, app.site, `?csp=${csp}`);
    const popup = await toConsent(page);
    const before = await history(popup);
    await approve(popup);
    const during = await history(popup);
    await allowAs(popup);
    const flow = await ended(page);
    assert.deepEqual(flow.ends.map((end) => end.kind), ['success']);
    assert.deepEqual(flow.violations, []);
    await pause(200);

    const token = app.site.tokens.at(-1);
    assert.ok(token.startsWith('alter_cs_'));
    const opened = world.seen.some((request) => request.target === '/connect/open');
    assert.ok(opened || csp, 'door A was used');
    assert.deepEqual(hits(token, requests, world.seen, app.site.seen, app.raw.seen, before, during, await history(page)), []);

    // Positive control: the scan finds a request, a Referer and a history entry that do contain the token.
    await page.evaluate((t) => {
      history.pushState(null, '', `?planted=${t}`);
      const meta = document.head.appendChild(document.createElement('meta'));
      Object.assign(meta, { name: 'referrer', content: 'unsafe-url' });
      return fetch('/planted').then(() => fetch(`/planted?${t}`));
    }, token);
    await pause(200);
    assert.ok(hits(token, [...requests, ...app.site.seen].map((r) => r.target)).length > 0, 'planted in a URL');
    assert.ok(hits(token, app.site.seen.map((r) => r.referer)).length > 0, 'planted in a Referer');
    assert.ok(lacks('history') || hits(token, await history(page)).length > 0, 'planted in the history');
    await context.close();
  });
}

test('door B really is door B: nothing was posted to /connect/open', async () => {
  const context = await person(world.browser);
  const from = world.seen.length;
  const page = await visit(context, app.site, '?csp=no-form');
  await toConsent(page);
  const targets = world.seen.slice(from).map((request) => request.target);
  assert.ok(!targets.includes('/connect/open'));
  assert.ok(targets.includes('/connect/api/claim'));
  await context.close();
});

for (const referrer of ['no-referrer', 'same-origin', 'unsafe-url']) {
  test(`door A opens under the app's Referrer-Policy ${referrer}`, async () => {
    const context = await person(world.browser);
    const from = world.seen.length;
    const page = await visit(context, app.site, `?referrer=${referrer}`);
    await toConsent(page);
    assert.ok(world.seen.slice(from).some((request) => request.target === '/connect/open'));
    await context.close();
  });
}

test('door B opens under an app page that sends no Referer', async () => {
  const context = await person(world.browser);
  const page = await visit(context, app.site, '?csp=no-form&referrer=no-referrer');
  await toConsent(page);
  await context.close();
});

test('the whole connect_url serves as the token', async () => {
  const context = await person(world.browser);
  app.site.nextToken = (await app.backend.mint({ allowed_origin: app.site.origin })).connect_url;
  await toConsent(await visit(context, app.site));
  await context.close();
});

test('an app whose page never asks is told so in the popup, and the provider is not contacted', async () => {
  const context = await person(world.browser);
  const before = app.raw.authorizations();
  const page = await context.newPage();
  await page.goto(app.site.origin);
  await page.evaluate(() => { window.setInterval = () => 0; });
  const popup = await clickConnect(page);
  await popup.locator('body[data-page="consent"]').waitFor();
  await popup.click('[data-do="approve"]');
  await popup.locator('h1:has-text("would not hear from us")').waitFor();
  await look(popup, 'app-unreachable');
  assert.equal(app.raw.authorizations(), before);
  await context.close();
});
