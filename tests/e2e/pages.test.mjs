// The hosted pages against hostile names, under their CSP, and with blocked cookies (T45, T46, T52).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { at, clickConnect, ended, look, person, personWithoutCookies, until } from './harness/browser.mjs';
import { lacks } from './harness/engines.mjs';
import { allowAs, answerWith, approve, closeByHand, toConsent, toRaw, visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

let world;
before(async () => {
  world = await startWorld({ log: 'pages' });
});
after(() => world?.stop());

// Characters that nobody sees never come here: a name with one is refused when it is given.
const CORPUS = [
  '<script>pwned=1</script>',
  '"><img src=x onerror=pwned=1>',
  '\'"--></style></script><svg onload=pwned=1>',
  '<base href=//127.0.0.2/><form action=//127.0.0.2/><button>Go</button></form>',
  '{{7*7}}{% include "x" %}${pwned=1}',
  'javascript:pwned=1//gnp.exe',
];

// Each text is once the app's name, once a provider's, once a scope's words. Two providers make the picker appear too.
for (const turn of [0, 2, 4]) {
  const [name, first, words, second] = [0, 1, 2, 3].map((n) => CORPUS[(turn + n) % CORPUS.length]);
  test(`t45_hostile names run nothing and change nothing (from ${turn + 1} of ${CORPUS.length})`, async () => {
    const app = await world.rawApp(name, [], { name: first, words });
    await world.addRaw(app, app.raw, { id: 'second', name: second, words: first });
    const context = await person(world.browser);
    const dialogs = [];
    context.on('dialog', (dialog) => dialogs.push(dialog.message()));
    const clean = async (popup, ...shown) => {
      assert.equal(await popup.evaluate(() => window.pwned), undefined);
      assert.equal(await popup.locator('img, base, form, svg[onload]').count(), 0);
      const text = await popup.textContent('body');
      for (const hostile of shown) assert.ok(text.includes(hostile.slice(0, 20)), `shown as text: ${hostile}`);
    };
    const page = await visit(context, app.site);
    const popup = await at(await clickConnect(page), 'picker');
    await clean(popup, name, first, second);
    await popup.click('[data-provider="raw"]');
    await popup.locator('body[data-page="consent"]').waitFor();
    await look(popup, `consent-hostile-${turn + 1}`);
    await clean(popup, name, first, words);
    await approve(popup);
    await answerWith(popup, 'temporarily_unavailable');
    await popup.locator('body[data-page="provider_error"]').waitFor();
    await clean(popup, name, first);
    const wrong = await context.newPage();
    await wrong.goto((await app.backend.mint()).connect_url);
    await wrong.locator('h1:has-text("Open this page from")').waitFor();
    await clean(wrong);
    assert.deepEqual(context.faults, []);
    assert.deepEqual(dialogs, []);
    await context.close();
  });
}

test('t45_the listener that found nothing finds a planted script', { skip: lacks('faults') }, async (t) => {
  const app = await world.rawApp('Reader');
  const context = await person(world.browser);
  const page = await visit(context, app.site);
  const popup = await toConsent(page);
  assert.deepEqual(context.faults, []);
  t.after(world.rewrite(/^\/connect\/s\/[^/]+$/, (body) => body.replace('</main>', '<script>pwned=1</script><img src="x" onerror="pwned=1"></main>')));
  await popup.reload();
  await until(() => context.faults.some((fault) => fault.startsWith('script-src')));
  assert.equal(await popup.evaluate(() => window.pwned), undefined, 'reported and stopped');
  await context.close();
});

test('t46_approving reaches the provider although form-action names only ourselves', async () => {
  const app = await world.rawApp('Reader');
  const context = await person(world.browser);
  const page = await visit(context, app.site);
  const popup = await toConsent(page);
  const policy = world.seen.findLast(({ target }) => target.startsWith('/connect/s/')).headers['content-security-policy'] ?? '';
  const directives = Object.fromEntries(policy.split(';').map((d) => d.trim().split(/\s+(.*)/s)));
  assert.equal(directives['default-src'], "'none'");
  assert.ok(["'self'", "'none'"].includes(directives['form-action']), policy);
  assert.equal(directives['frame-ancestors'], "'none'");
  assert.equal(directives['base-uri'], "'none'");
  assert.equal(directives['script-src'], "'self'");
  assert.equal(directives['require-trusted-types-for'], "'script'");
  await approve(popup);
  await until(async () => (await popup.url()).startsWith(app.raw.origin));
  await allowAs(popup);
  await ended(page);
  assert.deepEqual(context.faults, []);
  await context.close();
});

test('t26_what a provider says of an error is never shown as ours', async () => {
  const two = await world.app('Two services');
  const raw = await world.raw();
  await world.addRaw(two, raw, { id: 'one', name: 'One' });
  await world.addRaw(two, raw, { id: 'two', name: 'Two' });
  const context = await person(world.browser);
  const page = await visit(context, two.site);
  const popup = await at(await clickConnect(page), 'picker');
  await popup.click('[data-provider="one"]');
  await popup.locator('body[data-page="consent"]').waitFor();
  raw.page = (query) => {
    const back = new URL(query.get('redirect_uri'));
    back.search = new URLSearchParams({ state: query.get('state'), error: 'invalid_scope', error_description: '<b>Call 555-1234</b>\r\nX: y' });
    return `<a id="back" href="${back.href.replaceAll('&', '&amp;')}">back</a>`;
  };
  await approve(popup);
  await popup.click('#back');
  await at(popup, 'provider_error');
  assert.ok(!(await popup.content()).includes('555-1234'));
  assert.deepEqual(context.faults, []);
  await context.close();
});

test('t52_a browser that blocks cookies is told so in words', async () => {
  const app = await world.rawApp('Reader');
  const context = await personWithoutCookies();
  const page = await visit(context, app.site);
  const popup = await clickConnect(page);
  await popup.locator('h1:has-text("blocked a cookie")').waitFor();
  await look(popup, 'cookies-blocked');
  assert.equal(app.raw.authorizations(), 0);
  await context.close();
  const usual = await person(world.browser);
  await allowAs(await toRaw(await visit(usual, app.site)));
  await usual.close();
});

test('the pages at the end of a flow pass axe', { skip: lacks('pictures') }, async () => {
  const app = await world.rawApp('Reader');
  const context = await person(world.browser);
  // A flow's popup closes at the flow's end, so the same browser shows the same page in a tab.
  const tab = async (popup, name) => {
    const page = await context.newPage();
    // A page that is the only one of its tab's history may close itself.
    await page.goto(app.site.origin);
    await page.goto(`${world.origin}/connect/s/${sidOf(popup)}`);
    await at(page, name);
    return page;
  };
  const sids = new Map();
  const sidOf = (popup) => sids.get(popup);
  const start = async () => {
    const page = await visit(context, app.site);
    const popup = await toConsent(page);
    sids.set(popup, new URL(await popup.url()).pathname.split('/').pop());
    return [page, popup];
  };
  const ends = {
    denied: (popup) => popup.click('[data-do="cancel"]'),
    provider_error: async (popup) => answerWith(await approve(popup), 'temporarily_unavailable'),
    cancelled: closeByHand,
  };
  for (const [name, end] of Object.entries(ends)) {
    const [page, popup] = await start();
    await end(popup);
    await ended(page);
    await tab(popup, name);
  }
  let release;
  app.raw.hold = new Promise((resolve) => { release = resolve; });
  const [page, popup] = await start();
  await approve(popup);
  const before = app.raw.tokenRequests;
  await allowAs(popup);
  await until(() => app.raw.tokenRequests > before);
  const waiting = await tab(popup, 'waiting');
  release();
  await ended(page);
  await at(waiting, 'done');
  assert.deepEqual(context.faults, []);
  await context.close();
});

test('the remaining pages pass axe', { skip: lacks('pictures') }, async () => {
  const context = await person(world.browser);
  const page = await context.newPage();
  for (const name of ['expired', 'used', 'invalid', 'other_browser', 'cookies', 'open']) {
    await page.goto(`${world.origin}/connect/notice/${name}`);
    await look(page, `notice-${name}`);
  }
  await page.goto(`${world.origin}/nothing-here`);
  await look(page, 'not-found');
  await page.goto(world.origin.replace('localhost', '127.0.0.1'));
  await look(page, 'wrong-host');
  assert.deepEqual(context.faults, []);
  await context.close();
});
