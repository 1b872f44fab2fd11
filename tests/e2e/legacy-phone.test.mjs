// The published browser client 0.8.0 on a phone: docs/spec/wire.md 6.1 says what works there, and every row is taken here.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before } from 'node:test';
import { devices } from 'playwright-core';
import { at, ended, launchWithBackCache, person } from './harness/browser.mjs';
import { openGuide } from './harness/guide.mjs';
import { allowAs, approve, visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

const PHONE = devices['Pixel 7'];
const AS_A_MAC = { ...devices['iPad Mini'], userAgent: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15' };
const PUBLISHED = '?sdk=published';

let world, marked, confirming, linked;
before(async () => {
  world = await startWorld({ log: 'legacy-phone', open: launchWithBackCache });
  marked = await world.rawApp('Marked', ['--legacy-clients']);
  confirming = await world.rawApp('Confirming', ['--min-binding', 'L3']);
  linked = await world.rawApp('Linked', ['--allow-unverified-links']);
});
after(() => world?.stop());

const verifier = randomBytes(32).toString('base64url');
const challenge = { code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256' };
const back = (app) => ({ return_url: `${app.site.origin}/connected${PUBLISHED}` });

/** A person on this device at the app's page, whose session has these fields. `heard` is what the client logs of a return. */
async function on(device, app, mint, work) {
  app.site.mint = mint;
  const context = await person(world.browser, device);
  const heard = [];
  context.on('console', (message) => { if (message.text().includes('redirect return - ')) heard.push(message.text().split('redirect return - ')[1]); });
  try {
    await work(await visit(context, app.site, PUBLISHED), { context, heard });
  } finally {
    await context.close();
  }
}

const leave = (page) => page.click('#connect:enabled');
const title = (page, words) => page.locator(`h1:has-text("${words}"), p:has-text("${words}")`).first().waitFor();
const home = (page, app) => page.waitForURL((url) => url.origin === app.site.origin);
const ends = (page) => page.evaluate(() => window.flow.ends);

openGuide('docs/spec/wire.md').rows('Client 0.8.0', {
  'on an app with `--legacy-clients` (L1), with `return_url`': () =>
    on(PHONE, marked, back(marked), async (page, { heard }) => {
      const before = marked.raw.authorizations();
      await leave(page);
      await title(page, 'This was not opened by Marked');
      await page.click('#back');
      await home(page, marked);
      assert.match(heard.join(), /^error: .*binding_failed/);
      assert.deepEqual(await ends(page), []);
      assert.equal(marked.raw.authorizations(), before);
    }),
  'on an app with `--legacy-clients` (L1), without `return_url`': () =>
    on(PHONE, marked, {}, async (page) => {
      await leave(page);
      await title(page, 'Open this page from your app');
      assert.equal(await page.locator('a[href^="http"]:visible').count(), 0);
    }),
  'in a session that the app confirms (L3), with `return_url`': async () => {
    await on(PHONE, confirming, { ...back(confirming), ...challenge }, async (page, { heard }) => {
      await leave(page);
      await approve(await at(page, 'consent'));
      await allowAs(page);
      await home(page, confirming);
      await page.locator('#connect:enabled').waitFor();
      assert.match(heard.join(), /^error: .*invalid_response/);
      assert.deepEqual(await ends(page), []);
      assert.equal(page.url(), `${confirming.site.origin}/${PUBLISHED}`, 'not the return page');
      const { target } = confirming.site.seen.findLast((asked) => asked.target.startsWith('/connected?'));
      const code = new URL(target, confirming.site.origin).searchParams.get('alter_result_code');
      const done = await confirming.backend.post('/sdk/oauth/connect/session/finalize', { result_code: code, code_verifier: verifier });
      assert.equal(done.status, 200, done.body);
      assert.equal((await confirming.backend.call(done.json.grants[0].grant_id, `${confirming.raw.origin}/api/me`)).json.email, 'alice@raw.test');
    });
  },
  'in a session that the app confirms (L3), without `return_url`': () =>
    on(PHONE, confirming, challenge, async (page) => {
      await leave(page);
      await title(page, 'Confirming left out the way back');
    }),
  'on an app with `--allow-unverified-links` (L0), with `return_url`': () =>
    on(PHONE, linked, back(linked), async (page, { heard }) => {
      await leave(page);
      await at(page, 'consent');
      assert.match(await page.locator('main').innerText(), /link/);
      await approve(page);
      await allowAs(page);
      await home(page, linked);
      await page.locator('#connect:enabled').waitFor();
      assert.match(heard.join(), /^success: /);
      assert.deepEqual(await ends(page), []);
      // The return page has fetched another token.
      assert.equal((await linked.backend.poll(linked.site.tokens[0])).grants[0].account_identifier, 'alice@raw.test');
    }),
  'held sideways, or on an iPad that calls itself a Mac (L1)': async () => {
    for (const device of [devices['Pixel 7 landscape'], AS_A_MAC]) {
      await on(device, marked, {}, async (page) => {
        const [popup] = await Promise.all([page.waitForEvent('popup'), leave(page)]);
        await allowAs(await approve(await at(popup, 'consent')));
        assert.deepEqual((await ended(page)).ends.map(({ kind }) => kind), ['success']);
      });
    }
  },
  "after the browser's Back to a page that was kept": () =>
    on(PHONE, marked, back(marked), async (page) => {
      await page.evaluate(() => { window.sameDocument = true; });
      await leave(page);
      await title(page, 'This was not opened by Marked');
      await page.goBack({ waitUntil: 'commit' });
      assert.equal(await page.evaluate(() => window.sameDocument), true, 'out of the back-forward cache');
      await leave(page);
      assert.equal(await page.evaluate(() => window.flow.opened), 'opened');
      assert.equal(await page.evaluate(() => window.flow.instance.isOpen()), true);
      assert.equal(new URL(page.url()).origin, marked.site.origin, 'it did not leave');
    }),
  'where the tab keeps no storage': () =>
    on(PHONE, marked, {}, async (page, { context }) => {
      await context.addInitScript(() => Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('no', 'SecurityError'); } }));
      await page.reload();
      await page.waitForFunction(() => document.readyState === 'complete').catch(() => {});
      assert.match(context.faults.join(), /SecurityError/);
      assert.equal(await page.locator('#connect:enabled').count(), 0);
    }),
  'on a link with made-up results, within five minutes of leaving': () =>
    on(PHONE, marked, back(marked), async (page, { heard }) => {
      await leave(page);
      await title(page, 'This was not opened by Marked');
      await page.goto(`${marked.site.origin}/${PUBLISHED}&alter_connect_success=true&grant_id=made-up&provider=raw&account_identifier=mallory`);
      await page.locator('#connect:enabled').waitFor();
      assert.match(heard.join(), /^success: /);
      assert.deepEqual(await ends(page), []);
    }),
});
