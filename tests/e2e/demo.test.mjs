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
