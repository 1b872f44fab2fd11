// Every page on which a flow ends, or never began, has a button, and the button does what it says.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { APP, launch, manifest, ORIGIN, page as source, path, stage } from './stage.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

// That every page has a button is tested where the pages are made; here, that the two kinds work.
// The shell's button is hidden until the shell is an end: it has a test of its own below.
const ends = manifest.pages.filter((name) => name !== 'shell' && /data-close|<a class="go" href="">/.test(source(name)));
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

// The app's own window: it may have been opened by a script, so that closing it would work.
for (const name of manifest.pages.filter((name) => / data-back/.test(source(name)))) {
  test(`the_button_of_${name.replaceAll('-', '_')}_leads_back_and_the_window_is_never_closed`, async () => {
    const context = await browser.newContext();
    const seen = await stage(context, name);
    const popup = await openPopup(context, seen, name);
    const back = popup.getByRole('link', { name: /^Back to / });
    const href = await back.getAttribute('href');
    const follows = href.startsWith('/') ? ORIGIN + href : href;
    const gone = popup.waitForRequest(follows);
    await back.click();
    await gone;
    assert.ok(!popup.isClosed());
    assert.equal(await popup.getByRole('button').count(), 0);
    assert.deepEqual(seen.errors, []);
    await context.close();
  });
}

for (const name of ['done-redirect', 'denied-redirect', 'cancelled-redirect']) {
  test(`${name.replaceAll('-', '_')}_goes_back_by_itself`, async () => {
    const context = await browser.newContext();
    const seen = await stage(context, name);
    const page = await context.newPage();
    const gone = page.waitForRequest((request) => request.url().endsWith('/return'));
    await page.goto(ORIGIN + path(name));
    await gone;
    assert.deepEqual(seen.errors, []);
    await context.close();
  });
}

// What the server says of a session whose app is at another origin than the page that opened the shell.
const elsewhere = (verb) => (verb === 'peek' ? [200, { allowed_origin: 'https://other.example', app_name: 'Acme' }] : undefined);
// A popup that a page of another origin than the session's has sent to the shell.
const openShell = async (context) => {
  const app = await context.newPage();
  await app.goto(`${APP}/`);
  const [popup] = await Promise.all([
    context.waitForEvent('page'),
    app.evaluate((url) => { window.popup = open(url, '_blank'); }, `${ORIGIN}${path('shell')}#session=T&cb=CB&m=p`),
  ]);
  await popup.getByRole('heading', { name: 'Open this page from Acme' }).waitFor();
  return popup;
};

test('the_button_of_the_shell_works_when_the_shell_is_an_end', async () => {
  const context = await browser.newContext();
  await stage(context, 'shell', elsewhere);
  const popup = await openShell(context);
  assert.equal(await popup.title(), 'Open this page from Acme · Alter Connect');
  const leave = popup.getByRole('button', { name: 'Close this window' });
  const clicked = leave.click().catch((error) => assert.ok(popup.isClosed(), error));
  await Promise.all([popup.waitForEvent('close'), clicked]);
  await context.close();
});

test('a_shell_that_cannot_be_closed_says_so_and_keeps_its_sentence', async () => {
  const context = await browser.newContext();
  await context.addInitScript(() => { window.close = () => {}; });
  await stage(context, 'shell', elsewhere);
  const popup = await openShell(context);
  await popup.getByRole('button', { name: 'Close this window' }).click();
  await popup.getByRole('alert').filter({ hasText: 'Your browser leaves closing this window to you.' }).waitFor();
  await popup.getByText(`You came from ${APP}. It works only from https://other.example: press`).waitFor();
  await context.close();
});

test('a_shell_that_is_on_its_way_has_no_button', async () => {
  const context = await browser.newContext();
  await stage(context, 'shell', () => new Promise(() => {}));
  const page = await context.newPage();
  await page.goto(`${ORIGIN}${path('shell')}#session=T`);
  assert.equal(await page.getByRole('button').count(), 0);
  await context.close();
});

test('a_window_that_no_script_opened_stays_and_the_page_says_so', async () => {
  const context = await browser.newContext();
  await stage(context, 'expired');
  const page = await context.newPage();
  await page.goto(`${ORIGIN}/first`);
  await page.goto(ORIGIN + path('expired'));
  await page.getByRole('button', { name: 'Close this window' }).click();
  await page.getByRole('alert').filter({ hasText: 'Your browser leaves closing this window to you.' }).waitFor();
  await context.close();
});
