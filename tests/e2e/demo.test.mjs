// `alter demo` as a newcomer meets it: start it, open the page, press the button.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { devices } from 'playwright-core';
import { alter, startAlter } from './harness/alter.mjs';
import { approve } from './harness/journey.mjs';
import { at, axe, clickConnect, launch, look, person } from './harness/browser.mjs';

let demo, browser, urls;
before(async () => {
  browser = await launch();
  urls = await new Promise((resolve, reject) => {
    demo = startAlter({ ALTER_LOG: 'info' }, ['demo', '--port', '0', '--json'], 'demo', (line) => {
      if (line.startsWith('{"app"')) resolve(JSON.parse(line));
    });
    demo.child.once('exit', (code) => reject(new Error(`alter demo ended with ${code}`)));
  });
});
after(async () => {
  await browser?.close();
  await demo?.stop('SIGINT');
});

test('the button connects an account, backend and agent read with it, and Disconnect ends it', async () => {
  const context = await person(browser);
  const page = await context.newPage();
  await page.goto(urls.app);
  await look(page, 'demo-app');
  const popup = await at(await clickConnect(page), 'consent');
  await approve(popup);
  await look(popup, 'demo-provider');
  await popup.click('#approve', { noWaitAfter: true });
  await page.locator('#result:not(:empty)').waitFor();
  await page.locator('#result:has-text("{"), #result:has-text("[")').waitFor();
  const notes = JSON.parse(await page.textContent('#result'));
  assert.ok(JSON.stringify(notes).length > 20);
  assert.match(await page.textContent('#connection'), /Acme Notes/);
  assert.match(await page.textContent('#token'), /^no\. 1 seen here, works until /);
  await page.click('#agent');
  await page.locator('#reader:text("What the agent read")').waitFor();
  await page.locator('#result:has-text("{")').waitFor();
  assert.deepEqual(JSON.parse(await page.textContent('#result')), notes);
  assert.deepEqual(await axe(page), []);
  await look(page, 'demo-result');
  await page.click('#disconnect');
  await page.locator('#result:has-text("revoked")').waitFor();
  await page.click('#agent');
  await page.locator('#result:has-text("no_delegated_grant")').waitFor();
  assert.deepEqual(context.faults, []);
  await context.close();
});

test('on a phone the page leaves, and comes back with the notes', async () => {
  const context = await person(browser, devices['Pixel 7']);
  const page = await context.newPage();
  await page.goto(urls.app);
  await page.click('#connect:enabled');
  await approve(await at(page, 'consent'));
  await page.click('#approve', { noWaitAfter: true });
  await page.locator('#result:has-text("{")').waitFor();
  assert.match(await page.textContent('#connection'), /Acme Notes/);
  assert.equal(page.url(), `${urls.app.replace(/\/$/, '')}/`);
  await look(page, 'demo-phone');
  assert.deepEqual(context.faults, []);
  await context.close();
});

test('the button for a phone opens a window that leaves and comes back by itself', async () => {
  const context = await person(browser, { viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await page.goto(urls.app);
  const [phone] = await Promise.all([page.waitForEvent('popup'), page.click('#phone')]);
  await phone.locator('.only-phone').waitFor();
  assert.equal(await phone.evaluate(() => innerWidth), 390);
  await look(phone, 'demo-phone-window');
  await phone.click('#connect');
  await approve(await at(phone, 'consent'));
  await phone.click('#approve', { noWaitAfter: true });
  await phone.locator('#result:has-text("{")').waitFor();
  assert.equal(context.pages().length, 2, 'no popup beside it');
  assert.equal(phone.url(), new URL('/phone', urls.app).href);
  assert.match(await phone.textContent('#events'), /on success/);
  await look(phone, 'demo-phone-window-result');
  assert.deepEqual(context.faults, []);
  await context.close();
});

/** The pages without a script: the form, our page, and the provider's. */
async function plainly(page, decision) {
  await page.goto(new URL('/plain', urls.app).href);
  await look(page, 'demo-plain');
  await page.click('#connect');
  await approve(await at(page, 'consent'));
  await page.click(decision, { noWaitAfter: true });
  await page.waitForURL(new URL('/plain', urls.app).href);
}

test('without a script the server redirects, confirms and reads, and then a popup waits for the app and gets it', async () => {
  const context = await person(browser);
  const page = await context.newPage();
  await plainly(page, '#approve');
  assert.match(await page.textContent('#result'), /"notes"/);
  assert.equal(await page.evaluate(() => document.scripts.length), 0);
  const grant = await page.textContent('#connection dd');
  await look(page, 'demo-plain-result');
  await page.goto(urls.app);
  const popup = await approve(await at(await clickConnect(page), 'consent'));
  await popup.click('#approve', { noWaitAfter: true });
  await page.locator('#result:has-text("{")').waitFor();
  assert.match(await page.textContent('#events'), /It waits for the app/);
  assert.equal(await page.textContent('#connection dd'), grant, 'the grant that was confirmed is the one that stays');
  await page.goto(new URL('/plain', urls.app).href);
  await page.click('#disconnect');
  await page.locator('#say:has-text("revoked")').waitFor();
  assert.deepEqual(context.faults, []);
  await context.close();
});

test('without a script a refusal is said in words, and the button works again', async () => {
  const context = await person(browser);
  const page = await context.newPage();
  await plainly(page, '#deny');
  assert.match(await page.textContent('#say'), /^The user refused to connect Acme Notes/);
  await look(page, 'demo-plain-refused');
  await page.click('#connect');
  await at(page, 'consent');
  await context.close();
});

test('somebody who was sent the way back of another person connects nothing', async () => {
  const [one, other] = [await person(browser), await person(browser)];
  const page = await one.newPage();
  const held = new Promise((done) => {
    one.route('**/connect/s/*/return', async (route) => {
      done((await route.fetch({ maxRedirects: 0 })).headers().location);
      await route.abort();
    });
  });
  await page.goto(new URL('/plain', urls.app).href);
  await page.click('#connect');
  await approve(await at(page, 'consent'));
  await page.click('#approve', { noWaitAfter: true });
  const victim = await other.newPage();
  await victim.goto(await held);
  assert.equal(await victim.locator('#connection').count(), 0);
  await victim.locator('#connect').waitFor();
  await one.close();
  await other.close();
});

test('a refusal is said in words, and the button works again', async () => {
  const context = await person(browser);
  const page = await context.newPage();
  await page.goto(urls.app);
  const popup = await approve(await at(await clickConnect(page), 'consent'));
  await popup.click('#deny', { noWaitAfter: true });
  await page.locator('#say:not(:empty)').waitFor();
  assert.match(await page.textContent('#events'), /onError: oauth_denied/);
  await (await clickConnect(page)).locator('body[data-page="consent"]').waitFor();
  await context.close();
});

test('demo --check walks the flow by itself and exits 0', async () => {
  const said = await alter({}, ['demo', '--check']);
  assert.ok(said.length > 0);
});
