// What Firefox does otherwise than Chromium.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { noFirefox, startFirefox } from './harness/firefox.mjs';
import { until } from './harness/browser.mjs';
import { startWorld } from './harness/world.mjs';

let world, app;
before(async () => {
  world = await startWorld({ log: 'firefox' });
  app = await world.rawApp('Reader');
});
after(() => world?.stop());

const skip = noFirefox;
const ends = async (firefox) => JSON.parse(await firefox.run('return JSON.stringify(window.flow.ends)'));

/** Opens the popup from the app's page. Returns both windows; the popup is in use. */
async function popup(firefox) {
  const page = await firefox.window();
  await firefox.click('#connect:enabled');
  let other;
  await until(async () => (other = (await firefox.windows()).find((handle) => handle !== page)));
  await firefox.use(other);
  return { page, other };
}

// The pref makes a Firefox before 133 of it, which drops the requests of a page that goes.
for (const keepalive of [true, false]) {
  test(`a popup closed on our page is an exit in seconds, ${keepalive ? 'today' : 'in a Firefox without keepalive'}`, { skip }, async () => {
    const firefox = await startFirefox({ 'dom.fetchKeepalive.enabled': keepalive });
    try {
      await firefox.go(app.site.origin);
      const { page } = await popup(firefox);
      await firefox.find('[data-do="approve"]:not([aria-disabled="true"])');
      assert.equal(await firefox.run("return 'keepalive' in Request.prototype"), keepalive);
      await firefox.close();
      const began = Date.now();
      await firefox.use(page);
      await until(async () => (await ends(firefox)).length);
      const [{ kind, at }] = await ends(firefox);
      console.log(`# ${kind} ${at - began} ms after the close`);
      assert.equal(kind, 'exit');
      assert.ok(at - began < 60_000, 'by its goodbye, and not by its silence');
    } finally {
      await firefox.stop();
    }
  });
}

test('in a sandboxed frame without allow-popups an AlterError is told, not what Firefox throws', { skip }, async () => {
  const firefox = await startFirefox();
  try {
    await firefox.go(`${app.site.origin}/framed?allow=allow-scripts allow-same-origin`);
    await firefox.frame('iframe');
    await firefox.click('#connect:enabled');
    await until(async () => (await ends(firefox)).length);
    const [{ kind, value }] = await ends(firefox);
    assert.deepEqual([kind, value.code, value.message], ['error', 'popup_blocked', 'popup_blocked']);
  } finally {
    await firefox.stop();
  }
});
