// What Firefox does otherwise than Chromium.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launchFirefox } from './harness/bidi.mjs';
import { clickConnect, ended, person } from './harness/browser.mjs';
import { visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

let world, app;
before(async () => {
  world = await startWorld({ log: 'firefox', open: launchFirefox });
  app = await world.rawApp('Reader');
});
after(() => world?.stop());

// The pref makes a Firefox before 133 of it, which drops the requests of a page that goes.
for (const keepalive of [true, false]) {
  test(`a popup closed on our page is an exit, ${keepalive ? 'in seconds, today' : 'in a Firefox without keepalive'}`, async (t) => {
    const firefox = keepalive ? world.browser : await launchFirefox({ 'dom.fetchKeepalive.enabled': false });
    if (!keepalive) t.after(() => firefox.close());
    const context = await person(firefox);
    const page = await visit(context, app.site);
    const popup = await clickConnect(page);
    await popup.locator('[data-do="approve"]:not([aria-disabled="true"])').waitFor();
    assert.equal(await popup.evaluate(() => 'keepalive' in Request.prototype), keepalive);
    await popup.close();
    const began = Date.now();
    const [{ kind, at }] = (await ended(page)).ends;
    console.log(`# ${kind} ${at - began} ms after the close`);
    assert.equal(kind, 'exit');
    // Without keepalive a busy Firefox may lose the goodbye; then the page's silence ends the flow after 150 s.
    if (keepalive) assert.ok(at - began < 60_000, 'by its goodbye, and not by its silence');
    await context.close();
  });
}

test('in a sandboxed frame without allow-popups an AlterError is told, not what Firefox throws', async () => {
  const context = await person(world.browser);
  const page = await context.newPage();
  await page.goto(`${app.site.origin}/framed?allow=allow-scripts allow-same-origin`);
  const frame = page.frameLocator('iframe');
  await frame.locator('#connect:enabled').click();
  await frame.locator('#end:not(:empty)').waitFor({ state: 'attached' });
  const [{ kind, value }] = await (await page.frames())[1].evaluate(() => window.flow.ends);
  assert.deepEqual([kind, value.code, value.message], ['error', 'popup_blocked', 'popup_blocked']);
  await context.close();
});
