// docs/guides/embed-the-connect-widget.md, sections 6 to 8: devices, browsers inside other apps, and policies.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { at, devices } from './harness/browser.mjs';
import { allowAs, approve } from './harness/journey.mjs';
import { PHONE, SUCCESS, WAYS, back, connect, guide, outcome, press, said, startMyApp, visit } from './harness/my-app.mjs';

const AS_A_MAC = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15';
const INSTAGRAM = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22F76 Instagram 384.0.0.28 (iPhone15,3; iOS 18_5)';

let mine, world, as, one, strict, policed, lower;
before(async () => {
  mine = await startMyApp('embed-devices');
  ({ world, as } = mine);
  one = await mine.app('One service', ['acme'], { name: 'Acme' });
  strict = await mine.app('In an app', ['google'], { name: 'Google', facts: 'refuses_webviews = true' });
  policed = await mine.app('Policed', ['acme'], {}, 'under_headers.py');
  lower = await mine.appThatPolls();
});
after(() => mine?.stop());

const takes = (device, prepare) => (way) =>
  as(device, async (context) => {
    if (prepare) await prepare(context);
    await press(await visit(context, one), way);
  });
guide.rows('Device', {
  'a phone: a window of at most 480 px': takes(PHONE),
  'a tablet held upright': takes(devices['iPad Mini']),
  'an iPad that calls itself a Mac, held upright': takes({ ...devices['iPad Mini'], userAgent: AS_A_MAC }),
  'a web app on an iOS home screen': takes(devices['iPad Mini landscape'], (context) =>
    context.addInitScript(() => Object.defineProperty(navigator, 'standalone', { value: true }))),
  'a tablet held sideways': takes(devices['iPad Mini landscape']),
  'a phone held sideways': takes(devices['Pixel 7 landscape']),
  'a desktop, however narrow its window': takes({ viewport: { width: 320, height: 640 } }),
  'a page in a frame, on a phone too': (way) =>
    as(PHONE, async (context) => {
      await context.route('**/framing', (route) => route.fulfill({ contentType: 'text/html', body: '<iframe src="/index.html" width="380"></iframe>' }));
      const page = await visit(context, one, '/framing');
      assert.equal(way, 'popup');
      const [popup] = await Promise.all([page.waitForEvent('popup'), page.frameLocator('iframe').locator('#connect').click()]);
      await at(popup, 'consent');
    }),
});

test('fallback_redirect_leaves_where_the_popup_is_blocked_but_a_frame_never_does', async () => {
  const blocked = (context) => context.addInitScript(() => { window.open = () => null; });
  const falling = said.script.replace('alter.open({', 'alter.open({ fallback: "redirect",');
  assert.notEqual(falling, said.script);
  mine.write({ 'public/falling.js': falling, 'public/falling.html': said.index.replace('connect.js', 'falling.js') });
  await as({}, async (context) => {
    await blocked(context);
    const page = await visit(context, one, '/falling.html');
    await page.click('#connect');
    await at(page, 'consent');
    await context.route('**/framing', (route) => route.fulfill({ contentType: 'text/html', body: '<iframe src="/falling.html"></iframe>' }));
    const around = await visit(context, one, '/framing');
    await around.frameLocator('iframe').locator('#connect').click();
    await around.frameLocator('iframe').locator('#outcome').filter({ hasText: 'popup_blocked' }).waitFor();
  });
});

/** Section 7: an app with a provider that refuses webviews, in Instagram on an iPhone. */
const inInstagram = (work) =>
  as({ ...devices['iPhone 15'], userAgent: INSTAGRAM, permissions: ['clipboard-read', 'clipboard-write'] }, async (context) => {
    const page = await visit(context, strict);
    await page.click('#connect');
    return work(await at(page, 'webview'));
  });

test('in_another_app_the_user_reads_what_the_guide_says', () =>
  inInstagram(async (page) => {
    assert.equal(await page.locator('h1').innerText(), 'Google cannot be connected in Instagram');
    assert.equal(await page.locator('.lead').innerText(), 'It lets nobody sign in inside another app. Nothing is connected yet.');
    assert.match(await page.locator('ol').innerText(), /Copy the address of In an app.*Open Safari and paste it there.*Connect Google again/s);
  }));

guide.rows('What the user can do', {
  "Copy the address: your app's `--website-url`, or the session's origin": () =>
    inInstagram(async (page) => {
      await page.click('[data-copy]');
      await page.locator('text=Copied.').waitFor();
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), strict.origin);
    }),
  'Go on here, if it was no such browser': () =>
    inInstagram(async (page) => {
      await page.click('a[href="?here=1"]');
      await approve(await at(page, 'consent'));
      await allowAs(page);
      await outcome(page, SUCCESS);
    }),
  Cancel: (heard) =>
    inInstagram(async (page) => {
      await page.click('[data-do="cancel"]');
      await back(page);
      assert.equal(heard, 'error, oauth_denied');
      await outcome(page, 'You said no. You can try again.');
    }),
});

test('other_providers_connect_inside_another_app', () =>
  as({ ...devices['iPhone 15'], userAgent: INSTAGRAM }, async (context) => connect(await visit(context, one), 'redirect')));

/** The app's pages under the guide's said.policy; the line `less` is without the server. `more` are other headers. */
function police(less, more = {}) {
  const server = (line) => (line.startsWith(`${less} `) ? '' : world.origin);
  const lines = said.policy.map((line) => line.replace('https://connect.example.com', server(line)));
  const rest = "default-src 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
  mine.headersAre({ 'Content-Security-Policy': `${rest}; ${lines.join(' ')}`, ...more });
}

for (const [way, device] of WAYS) {
  test(`under_the_policy_of_the_guide_it_connects_by_${way}`, () =>
    as(device, async (context) => {
      police();
      await connect(await visit(context, policed), way);
      assert.deepEqual(context.faults, []);
    }));
}

guide.rows('Line', {
  '`script-src`': async (who, without) => {
    assert.equal(without, 'the button does nothing');
    await as({}, async (context) => {
      police('script-src');
      const page = await visit(context, policed);
      await page.click('#connect');
      await mine.heardNothing(page);
    });
  },
  '`connect-src`': (who, without) => {
    assert.equal(without, 'network_error');
    return as({}, async (context) => {
      police('connect-src');
      const page = await visit(context, policed);
      await page.click('#connect');
      await outcome(page, 'network_error');
    });
  },
  '`form-action`': async (who, without) => {
    const [, popup, severed, onPhone, below, form] =
      /desktop: (it connects).*same-origin: (\w+)\. On a phone: at L3 (it connects) all the same, below it (\w+)\. The form.*: (the browser stays)/.exec(without);
    const refused = (page, words) => outcome(page, `That did not work: ${words}`);
    await as({}, async (context) => {
      police('form-action');
      assert.equal(popup, 'it connects');
      await connect(await visit(context, policed), 'popup');
    });
    await as({}, async (context) => {
      police('form-action', { 'Cross-Origin-Opener-Policy': 'same-origin' });
      const page = await visit(context, policed);
      await page.click('#connect');
      await refused(page, severed);
    });
    await as(PHONE, async (context) => {
      police('form-action');
      assert.equal(onPhone, 'it connects');
      await connect(await visit(context, policed), 'redirect');
    });
    await as(PHONE, async (context) => {
      police('form-action');
      const page = await visit(context, lower);
      await page.click('#connect');
      await page.click('a.go');
      await refused(page, below);
    });
    await as({}, async (context) => {
      police('form-action');
      const page = await visit(context, policed, '/plain.html');
      await page.click('button');
      assert.equal(form, 'the browser stays');
      await page.waitForTimeout(1_000);
      assert.equal(page.url(), `${policed.origin}/plain.html`);
      assert.match(context.faults.join(), /form-action/);
    });
  },
});
