// Every page on which a flow ends, or never began, has a button, and the button does what it says.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { APP, launch, manifest, ORIGIN, page as source, path, stage } from './stage.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

// That every page has a button is tested where the pages are made; here, that the two kinds work.
const ends = manifest.pages.filter((name) => /data-close|<a class="go" href="">/.test(source(name)));
// Done and cancelled close by themselves; here somebody has a browser in which that failed.
const openPopup = async (context, seen, name) => {
  seen.name = name;
  const app = await context.newPage();
  await app.goto(`${APP}/`);
  const [popup] = await Promise.all([
    context.waitForEvent('page'),
    app.evaluate((url) => { window.popup = open(url, '_blank'); }, ORIGIN + path(name)),
  ]);
  await popup.waitForLoadState();
  return popup;
};
const tries = (seen) => seen.visited.filter((url) => url.startsWith('/connect/s/')).length;

for (const name of ends) {
  test(`the_button_of_${name.replaceAll('-', '_')}_works`, async () => {
    const context = await browser.newContext();
    const seen = await stage(context, name);
    await context.addInitScript(() => {
      const close = window.close.bind(window);
      window.close = () => { if (window.event?.type === 'click') close(); };
    });
    const popup = await openPopup(context, seen, name);
    const [again, leave] = [popup.getByRole('link', { name: 'Try again' }), popup.getByRole('button', { name: 'Close this window' })];
    if (await again.count()) {
      const before = tries(seen);
      await Promise.all([popup.waitForEvent('load'), again.click()]);
      assert.equal(tries(seen), before + 1, 'it asks again');
    } else {
      // The window may be gone before the click is reported as done.
      const clicked = leave.click().catch((error) => assert.ok(popup.isClosed(), error));
      await Promise.all([popup.waitForEvent('close'), clicked]);
    }
    assert.deepEqual(seen.errors, []);
    await context.close();
  });
}

test('a_window_that_no_script_opened_stays_and_the_page_says_so', async () => {
  const context = await browser.newContext();
  await stage(context, 'expired');
  const page = await context.newPage();
  await page.goto(`${ORIGIN}/first`);
  await page.goto(ORIGIN + path('expired'));
  await page.getByRole('button', { name: 'Close this window' }).click();
  await page.getByRole('status').filter({ hasText: 'Your browser leaves closing this window to you.' }).waitFor();
  await context.close();
});
