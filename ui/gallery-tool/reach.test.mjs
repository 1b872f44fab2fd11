// The buttons of every page are in the window without scrolling, for every provider of the catalog, whatever the window;
// and the bar that keeps them there hides neither the page nor the focus.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { APP, launch, manifest, ORIGIN, path, stage } from './stage.mjs';

const SIZES = [
  ['the popup', 500, 700],
  ['the popup at 200 %', 250, 350],
  ['a phone', 320, 640],
  ['a small phone', 320, 568],
  ['a desktop', 1024, 768],
];
const NAMES = [...manifest.pages, ...manifest.catalog].filter((name) => !['shell', 'waiting'].includes(name));
// Nothing leads away and nothing closes: the page stays as it was painted.
const stay = () => [200, {}];

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const open = async (options = {}) => {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
  const seen = await stage(context, 'consent', stay);
  const page = await context.newPage();
  await page.addInitScript(() => { window.close = () => {}; });
  const show = async (name) => {
    seen.name = name;
    await page.goto(ORIGIN + path(name));
  };
  return { page, show, context };
};

// In the page: each button with whether it lies whole in the window, and is what a finger there would touch.
const buttons = () => {
  const inside = (r) => r.top >= 0 && r.left >= 0 && r.bottom <= innerHeight && r.right <= innerWidth;
  return Array.from(document.querySelectorAll('.dock .act > :not([type=hidden], [hidden])'), (button) => {
    const r = button.getBoundingClientRect();
    const hit = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);
    return { label: button.innerText, inReach: inside(r) && button.contains(hit), tall: r.height };
  });
};
const measure = (page) => page.evaluate(`({
  buttons: (${buttons})(),
  bar: document.querySelector('.dock').offsetHeight / innerHeight,
  scrolled: scrollY,
  sideways: document.documentElement.scrollWidth > innerWidth,
})`);

test('every_button_of_every_page_is_in_reach_without_scrolling_at_every_size', async () => {
  const { page, show, context } = await open();
  const wrong = [];
  for (const name of NAMES) {
    await show(name);
    for (const [what, width, height] of SIZES) {
      await page.setViewportSize({ width, height });
      const seen = await measure(page);
      const say = (finding) => wrong.push(`${name}, ${what} (${width}x${height}): ${finding}`);
      if (!seen.buttons.length) say('no button');
      for (const { label, inReach, tall } of seen.buttons) {
        if (!inReach) say(`"${label}" is out of reach`);
        if (tall < 44) say(`"${label}" is ${tall} px tall`);
      }
      if (seen.scrolled) say('it had to scroll');
      if (seen.sideways) say('scrolls sideways');
      if (seen.bar > 0.5) say(`the bar takes ${Math.round(seen.bar * 100)} % of the window`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.equal(manifest.catalog.length > 20, true, 'every provider of the catalog, and the picker');
  await context.close();
});

test('it_is_the_same_where_the_shell_is_an_end', async () => {
  const ends = {
    'Close this window': [200, { allowed_origin: 'https://other.example', app_name: 'Acme' }],
    'Try again': [500, { message: 'The server cannot store anything at the moment.', request_id: 'req_9' }],
  };
  for (const [label, peek] of Object.entries(ends)) {
    const context = await browser.newContext();
    await stage(context, 'shell', () => peek);
    const app = await context.newPage();
    await app.goto(`${APP}/`);
    const [popup] = await Promise.all([
      context.waitForEvent('page'),
      app.evaluate((url) => { open(url, '_blank'); }, `${ORIGIN}${path('shell')}#session=T&cb=CB&m=p`),
    ]);
    await popup.getByRole('button', { name: label }).waitFor();
    for (const [what, width, height] of SIZES) {
      await popup.setViewportSize({ width, height });
      const seen = await measure(popup);
      assert.deepEqual(seen.buttons.map((b) => [b.label, b.inReach, b.tall >= 44]), [[label, true, true]], what);
      assert.deepEqual([seen.scrolled, seen.sideways, seen.bar > 0.5], [0, false, false], what);
    }
    await context.close();
  }
});

test('it_is_the_same_in_forced_colours_and_the_bar_has_an_edge_there', async () => {
  const { page, show, context } = await open({ forcedColors: 'active', viewport: { width: 320, height: 568 } });
  for (const name of ['consent-agent-four', 'picker-of-all', 'provider-error-refused']) {
    await show(name);
    const seen = await measure(page);
    assert.deepEqual(seen.buttons.filter((b) => !b.inReach), [], name);
    assert.equal(await page.locator('.dock').evaluate((bar) => getComputedStyle(bar).borderTopStyle), 'solid', name);
  }
  await context.close();
});

test('an_error_is_told_above_the_buttons_and_the_page_stays_where_it_is', async () => {
  const context = await browser.newContext({ viewport: { width: 320, height: 568 } });
  const words = 'The server cannot store anything at the moment. Please try again in a minute or two.';
  await stage(context, 'consent-of-microsoft', (verb) => (verb === 'cancel' ? [500, { message: words }] : [200, {}]));
  const page = await context.newPage();
  await page.goto(ORIGIN + path('consent-of-microsoft'));
  await page.getByRole('button', { name: 'Cancel' }).click();
  const told = await page.getByRole('alert').filter({ hasText: words }).boundingBox();
  const seen = await measure(page);
  assert.ok(told.y > 0 && told.y + told.height < 568, JSON.stringify(told));
  assert.deepEqual([seen.scrolled, seen.buttons.filter((b) => !b.inReach)], [0, []]);
  await context.close();
});

test('without_javascript_what_works_without_it_is_in_reach_too', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 320, height: 300 } });
  await stage(context, 'app-unreachable', stay);
  const page = await context.newPage();
  await page.goto(ORIGIN + path('app-unreachable'));
  const box = await page.getByRole('link', { name: 'Try again' }).boundingBox();
  assert.ok(box && box.y >= 0 && box.y + box.height <= 300, JSON.stringify(box));
  await context.close();
});

test('the_end_of_a_long_page_and_whatever_has_the_focus_is_not_under_the_bar', async () => {
  const { page, show, context } = await open({ viewport: { width: 320, height: 568 } });
  const covered = () => page.evaluate(() => {
    const bar = document.querySelector('.dock');
    const it = document.activeElement;
    if (it === document.body || bar.contains(it)) return null;
    const { bottom } = it.getBoundingClientRect();
    return bottom > bar.getBoundingClientRect().top + 1 ? it.innerText || it.id : null;
  });
  for (const name of ['picker-of-all', 'consent-agent-long', 'provider-error-refused', 'app-unreachable']) {
    await show(name);
    for (let n = 0; n < 40; n += 1) {
      await page.keyboard.press('Tab');
      assert.equal(await covered(), null, `${name}: the focus is under the bar`);
    }
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    const gap = await page.evaluate(() => {
      const bar = document.querySelector('.dock');
      return bar.getBoundingClientRect().top - bar.previousElementSibling.getBoundingClientRect().bottom;
    });
    assert.ok(gap >= 0, `${name}: the bar lies on the last line (${gap})`);
  }
  await context.close();
});
