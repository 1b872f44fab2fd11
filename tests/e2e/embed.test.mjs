// docs/guides/embed-the-connect-widget.md as a newcomer follows it: an empty folder, the package from the running server, the
// files as they stand in the guide, and a person who takes every row of its tables.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { devices } from 'playwright-core';
import { at, person, personWithoutCookies, launchWithBackCache } from './harness/browser.mjs';
import { openGuide, root, startApp, writeFiles } from './harness/guide.mjs';
import { allowAs, answerWith, approve } from './harness/journey.mjs';
import { freePort } from './harness/net.mjs';
import { startWorld } from './harness/world.mjs';

const run = promisify(execFile);
const PHONE = devices['Pixel 7'];
const AS_A_MAC = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15';
const INSTAGRAM = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22F76 Instagram 384.0.0.28 (iPhone15,3; iOS 18_5)';

const guide = openGuide('docs/guides/embed-the-connect-widget.md');
const [index, script, plain, backend] = ['public/index.html', 'public/connect.js', 'public/plain.html', 'app.py'].map(guide.file);
const asModule = guide.take(({ code }) => code.startsWith('import AlterConnect'));
const tag = (has) => guide.take(({ language, code }) => language === 'html' && /^<script[^\n]*\n$/.test(code) && has(code));
const TAG = tag((code) => !code.includes('integrity'));
const PINNED = tag((code) => code.includes('integrity'));
const policy = guide.take(({ code }) => code.startsWith('script-src')).trim().split('\n');
const shell = guide.shell();

let world, dir, one, two, strict, policed, lower;
before(async () => {
  world = await startWorld({ tls: false, log: 'embed', open: launchWithBackCache });
  dir = mkdtempSync(join(tmpdir(), 'alter-e2e-embed-'));
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name: 'my-app', private: true }));
  cpSync(join(root, 'docs/reference/alter_signing.py'), join(dir, 'alter_signing.py'));
  writeFiles(dir, { 'public/index.html': index, 'public/connect.js': script, 'public/plain.html': plain, 'app.py': backend }, world.origin);
  one = await appOf('One service', ['acme'], { name: 'Acme' });
  two = await appOf('Two services', ['raw', 'other']);
  strict = await appOf('In an app', ['google'], { name: 'Google', facts: 'refuses_webviews = true' });
  writeFiles(dir, { 'under_headers.py': UNDER_HEADERS, 'headers.json': '{}' }, world.origin);
  policed = await appOf('Policed', ['acme'], {}, 'under_headers.py');
  lower = await appThatPolls();
  await paste();
});
after(async () => {
  for (const app of [one, two, strict, policed]) await app?.stop();
  await world?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** `app.py` with an app of its own, at another host than the server's, as in life. */
async function appOf(name, providers, facts = {}, file = 'app.py') {
  const origin = `http://127.0.0.1:${await freePort()}`;
  const made = await world.cli('app', 'create', name, '--website-url', origin);
  const raw = await world.raw();
  for (const id of providers) await world.addRaw({ id: made.app_id }, raw, { id, name: id, ...facts });
  const env = { ALTER_BASE_URL: world.origin, ALTER_API_KEY: made.api_key, APP_ORIGIN: origin, APP_SECRET: 'for a test' };
  const app = await startApp(dir, join(root, 'tests/.venv/bin/python'), file, env);
  return { ...app, id: made.app_id, origin, raw };
}

/** `app.py` under the headers that a test has written into `headers.json`. */
const UNDER_HEADERS = `import json
from app import app, ORIGIN, urlsplit
@app.after_request
def headers(answer):
    answer.headers.update(json.load(open("headers.json")))
    return answer
app.run(host="127.0.0.1", port=urlsplit(ORIGIN).port)
`;
const headersNow = () => JSON.parse(readFileSync(join(dir, 'headers.json')));

/** The same pages, with a backend that sets no challenge and polls. */
async function appThatPolls() {
  const app = await world.rawApp('Polling');
  const { site, backend: signed } = app;
  const found = { origin: site.origin, polled: undefined };
  let token;
  const json = (answer, value) => answer.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
  for (const [name, type] of [['index.html', 'text/html'], ['connect.js', 'text/javascript']]) {
    site.routes[`/${name}`] = (_, answer) => answer.writeHead(200, { 'Content-Type': type, ...headersNow() }).end(readFileSync(join(dir, 'public', name)));
  }
  site.routes['/connect-session'] = async (_, answer) => {
    token = (await signed.mint({ allowed_origin: site.origin, return_url: `${site.origin}/index.html` })).session_token;
    json(answer, { token });
  };
  site.routes['/confirm'] = async (_, answer) => {
    const [grant] = (await signed.poll(token)).grants;
    found.polled = grant.grant_id;
    json(answer, { message: `Connected: ${grant.account_identifier}` });
  };
  return found;
}

const outcome = (page, words) => page.locator('#outcome').filter({ hasText: words }).waitFor();
const SUCCESS = 'Connected: alice@raw.test';

/** Opens a page of the app. */
async function visit(context, path = '/index.html', app = one) {
  const page = await context.newPage();
  await page.goto(app.origin + path);
  return page;
}

/** From the button to our page: in a popup, or in this tab. */
async function press(page, way, name = 'consent') {
  if (way === 'redirect') {
    await page.click('#connect');
    return at(page, name);
  }
  const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#connect')]);
  return at(popup, name);
}

async function connect(page, way) {
  const there = await press(page, way);
  await approve(there);
  await allowAs(there);
  await outcome(page, SUCCESS);
}

/** A person on this device, who goes through `work`. */
async function as(device, work, made = person(world.browser, device)) {
  const context = await made;
  try {
    return await work(context);
  } catch (error) {
    throw new Error(`${error.message}\n${context.faults.join('\n')}\n${one.said().slice(-2000)}`, { cause: error });
  } finally {
    await context.close();
  }
}

const WAYS = [['popup', {}], ['redirect', PHONE]];

/** What the guide's lines for the shell say, run in the app's folder; npm is asked for nothing else. */
let said;
async function paste() {
  const env = { PATH: process.env.PATH, HOME: dir, npm_config_registry: 'http://127.0.0.1:9', npm_config_audit: 'false', npm_config_fund: 'false' };
  said = [];
  for (const code of shell.filter((lines) => !lines.startsWith('pip install'))) {
    said.push((await run('bash', ['-euc', code.replaceAll('https://connect.example.com', world.origin)], { cwd: dir, env })).stdout);
  }
}

test('the_lines_for_the_shell_bring_the_package_of_this_server', () => {
  const { files } = JSON.parse(said[0]);
  assert.match(files['alter-connect.umd.js'], /^sha384-/);
  const { dependencies } = JSON.parse(readFileSync(join(dir, 'package.json')));
  assert.deepEqual(dependencies, { '@alter-ai/connect': 'file:alter-connect.tgz' });
  assert.ok(shell.includes('pip install flask httpx\npython app.py\n'), 'what app.py needs is named');
});

/** The ways to have the SDK: what stands in the page in the place of the script tag, and the script itself. */
const module_ = () => script.replace('const alter = AlterConnect.create();\n', asModule);
const LOADED = {
  'by a script tag': async () => ({}),
  'by a script tag that is pinned': async () => {
    const { files } = JSON.parse(said[0]);
    return { 'public/index.html': index.replace(TAG, PINNED.replace('sha384-...', files['alter-connect.umd.js'])) };
  },
  'as a package, by a bundler': async () => {
    writeFiles(dir, { 'bundled.js': module_() }, world.origin);
    const { outputFiles } = await build({ absWorkingDir: dir, entryPoints: ['bundled.js'], bundle: true, write: false, format: 'iife', platform: 'browser' });
    return { 'public/index.html': index.replace(TAG, ''), 'public/connect.js': outputFiles[0].text };
  },
  'as a package, from the app\'s own site': async () => ({
    'public/index.html': index.replace(TAG, '').replace('<script src="connect.js">', '<script type="module" src="connect.js">'),
    'public/connect.js': module_().replace('"@alter-ai/connect"', '"./alter-connect.esm.js"'),
  }),
};
for (const [how, files] of Object.entries(LOADED)) {
  test(`the_page_connects_on_a_desktop_and_on_a_phone_with_the_sdk_${how.replaceAll(' ', '_')}`, async () => {
    assert.ok(index.includes(TAG), 'the page has the tag of section 1');
    writeFiles(dir, { 'public/index.html': index, 'public/connect.js': script, ...(await files()) }, world.origin);
    try {
      for (const [way, device] of WAYS) {
        await as(device, async (context) => {
          const page = await visit(context);
          await connect(page, way);
          assert.equal(page.url(), `${one.origin}/index.html`);
          assert.deepEqual(context.faults, []);
        });
      }
    } finally {
      writeFiles(dir, { 'public/index.html': index, 'public/connect.js': script }, world.origin);
    }
  });
}

/** Section 4: the form, our page, the provider, and back. Returns the page, and the address that it came back to. */
async function submit(context, leaveProvider = (page) => allowAs(page)) {
  const page = await visit(context, '/plain.html');
  let back;
  page.on('request', (asked) => { if (asked.url().startsWith(`${one.origin}/connected`)) back = asked.url(); });
  await page.click('button');
  await approve(await at(page, 'consent'));
  await leaveProvider(page);
  await page.waitForURL((url) => url.pathname === '/connected');
  return { page, back };
}
const says = async (page, words) => assert.equal(await page.locator('body').innerText(), words);

guide.rows('What the user does', {
  connects: (words) => as({}, async (context) => says((await submit(context)).page, words)),
  'connects, and reloads the page': (words) =>
    as({}, async (context) => {
      const { page } = await submit(context);
      await page.reload();
      await says(page, words);
    }),
  refuses: (words) => as({}, async (context) => says((await submit(context, (page) => answerWith(page, 'access_denied'))).page, words)),
  'comes by the return address of somebody else': (words) =>
    as({}, async (context) => {
      const { back } = await as({}, (other) => unconfirmed(other));
      await says(await visit(context, back.slice(one.origin.length)), words);
    }),
  'comes by the return address of somebody else, with a flow of their own under way': (words) =>
    as({}, async (context) => {
      const { back } = await as({}, (other) => unconfirmed(other));
      const page = await visit(context, '/plain.html');
      await page.click('button');
      await at(page, 'consent');
      await page.goto(back);
      await says(page, words);
    }),
});

/** A flow whose way back the browser never takes. */
async function unconfirmed(context) {
  const held = new Promise((done) => {
    context.route('**/connect/s/*/return', async (route) => {
      const answer = await route.fetch({ maxRedirects: 0 });
      done(answer.headers().location);
      await route.abort();
    });
  });
  const page = await visit(context, '/plain.html');
  await page.click('button');
  await approve(await at(page, 'consent'));
  await allowAs(page);
  return { back: await held };
}

/** Our last page leads back by itself, or by its button where there is something to read. */
async function back(page) {
  await page.locator('#outcome, a.go').first().waitFor({ state: 'attached' });
  if (await page.locator('a.go').count()) await page.click('a.go');
  await page.locator('#outcome').waitFor({ state: 'attached' });
}

/** Whoever leaves the provider this way comes back to the page, which says how that ended. */
const ends = (leaveProvider, words) =>
  as(PHONE, async (context) => {
    const page = await visit(context);
    await approve(await press(page, 'redirect'));
    await leaveProvider(page);
    await back(page);
    await outcome(page, words);
  });
const code = (heard) => `That did not work: ${/error(?: \(as onError\))?, (\w+)/.exec(heard)[1]}`;

guide.rows('What happens on a phone', {
  'The user connects.': () => ends((page) => allowAs(page), SUCCESS),
  'The user refuses.': (heard) => {
    assert.equal(heard, 'error, oauth_denied');
    return ends((page) => answerWith(page, 'access_denied'), 'You said no. You can try again.');
  },
  'The provider fails.': (heard) => ends((page) => answerWith(page, 'temporarily_unavailable'), code(heard)),
  'The browser keeps no cookies of your server.': (heard) =>
    as(PHONE, async (context) => {
      const page = await visit(context);
      await page.click('#connect');
      await page.click('a.go');
      await outcome(page, code(heard));
    }, personWithoutCookies(PHONE, 'localhost')),
  'The user leaves by Cancel in the list of services.': () =>
    as(PHONE, async (context) => {
      const page = await visit(context, '/index.html', two);
      await press(page, 'redirect', 'picker');
      await page.click('[data-do="cancel"]');
      await back(page);
      await outcome(page, 'Nothing was connected.');
    }),
  'The return page is reloaded before the answer came.': () =>
    as(PHONE, async (context) => {
      let hold = true;
      await context.route('**/connect/result', (route) => (hold ? undefined : route.continue()));
      const page = await visit(context);
      await approve(await press(page, 'redirect'));
      const asked = page.waitForRequest('**/connect/result');
      await allowAs(page);
      await asked;
      hold = false;
      await page.reload();
      await outcome(page, SUCCESS);
    }),
  'The return page is reloaded later.': () =>
    as(PHONE, async (context) => {
      const page = await visit(context);
      await connect(page, 'redirect');
      await page.reload();
      await heardNothing(page);
    }),
  'The return address is opened in another tab.': (heard) =>
    as(PHONE, async (context) => {
      const page = await visit(context);
      let came;
      page.on('request', (asked) => { if (asked.url().includes('alter_result_code')) came ??= asked.url(); });
      await connect(page, 'redirect');
      await outcome(await visit(context, came.slice(one.origin.length)), code(heard));
    }),
  'The user goes back to the page with the button.': async () => {
    for (const [kept, words] of [[true, 'Nothing was connected.'], [false, '']]) {
      await as(PHONE, async (context) => {
        // A page with this listener is not kept.
        if (!kept) await context.addInitScript(() => addEventListener('unload', () => {}));
        const page = await visit(context);
        await press(page, 'redirect');
        await page.goBack({ waitUntil: 'commit' });
        if (words) await outcome(page, words);
        else await heardNothing(page);
      });
    }
  },
  'The tab keeps no storage.': (heard) =>
    as(PHONE, async (context) => {
      await context.addInitScript(() => Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('no', 'SecurityError'); } }));
      const page = await visit(context);
      await page.click('#connect');
      await outcome(page, code(heard));
      assert.equal(page.url(), `${one.origin}/index.html`);
    }),
});

/** The page has nothing to say, and has asked for nothing. */
async function heardNothing(page) {
  const from = world.seen.length;
  await page.waitForTimeout(300);
  assert.equal(await page.locator('#outcome').innerText(), '');
  assert.deepEqual(world.seen.slice(from).filter(({ target }) => target === '/connect/result'), []);
}

const takes = (device, prepare) => (way) =>
  as(device, async (context) => {
    if (prepare) await prepare(context);
    await press(await visit(context), way);
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
      const page = await visit(context, '/framing');
      assert.equal(way, 'popup');
      const [popup] = await Promise.all([page.waitForEvent('popup'), page.frameLocator('iframe').locator('#connect').click()]);
      await at(popup, 'consent');
    }),
});

test('fallback_redirect_leaves_where_the_popup_is_blocked_but_a_frame_never_does', async () => {
  const blocked = (context) => context.addInitScript(() => { window.open = () => null; });
  const falling = script.replace('alter.open({', 'alter.open({ fallback: "redirect",');
  assert.notEqual(falling, script);
  writeFiles(dir, { 'public/falling.js': falling, 'public/falling.html': index.replace('connect.js', 'falling.js') }, world.origin);
  await as({}, async (context) => {
    await blocked(context);
    const page = await visit(context, '/falling.html');
    await page.click('#connect');
    await at(page, 'consent');
    await context.route('**/framing', (route) => route.fulfill({ contentType: 'text/html', body: '<iframe src="/falling.html"></iframe>' }));
    const around = await visit(context, '/framing');
    await around.frameLocator('iframe').locator('#connect').click();
    await around.frameLocator('iframe').locator('#outcome').filter({ hasText: 'popup_blocked' }).waitFor();
  });
});

/** Section 7: an app with a provider that refuses webviews, in Instagram on an iPhone. */
const inInstagram = (work) =>
  as({ ...devices['iPhone 15'], userAgent: INSTAGRAM, permissions: ['clipboard-read', 'clipboard-write'] }, async (context) => {
    const page = await visit(context, '/index.html', strict);
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
  as({ ...devices['iPhone 15'], userAgent: INSTAGRAM }, async (context) => connect(await visit(context), 'redirect')));

/** The app's pages under the guide's policy; the line `less` is without the server. `more` are other headers. */
function police(less, more = {}) {
  const server = (line) => (line.startsWith(`${less} `) ? '' : world.origin);
  const lines = policy.map((line) => line.replace('https://connect.example.com', server(line)));
  const rest = "default-src 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
  headersAre({ 'Content-Security-Policy': `${rest}; ${lines.join(' ')}`, ...more });
}
const headersAre = (headers) => writeFileSync(join(dir, 'headers.json'), JSON.stringify(headers));

for (const [way, device] of WAYS) {
  test(`under_the_policy_of_the_guide_it_connects_by_${way}`, () =>
    as(device, async (context) => {
      police();
      await connect(await visit(context, '/index.html', policed), way);
      assert.deepEqual(context.faults, []);
    }));
}

guide.rows('Line', {
  '`script-src`': async (who, without) => {
    assert.equal(without, 'the button does nothing');
    await as({}, async (context) => {
      police('script-src');
      const page = await visit(context, '/index.html', policed);
      await page.click('#connect');
      await heardNothing(page);
    });
  },
  '`connect-src`': (who, without) => {
    assert.equal(without, 'network_error');
    return as({}, async (context) => {
      police('connect-src');
      const page = await visit(context, '/index.html', policed);
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
      await connect(await visit(context, '/index.html', policed), 'popup');
    });
    await as({}, async (context) => {
      police('form-action', { 'Cross-Origin-Opener-Policy': 'same-origin' });
      const page = await visit(context, '/index.html', policed);
      await page.click('#connect');
      await refused(page, severed);
    });
    await as(PHONE, async (context) => {
      police('form-action');
      assert.equal(onPhone, 'it connects');
      await connect(await visit(context, '/index.html', policed), 'redirect');
    });
    await as(PHONE, async (context) => {
      police('form-action');
      const page = await visit(context, '/index.html', lower);
      await page.click('#connect');
      await page.click('a.go');
      await refused(page, below);
    });
    await as({}, async (context) => {
      police('form-action');
      const page = await visit(context, '/plain.html', policed);
      await page.click('button');
      assert.equal(form, 'the browser stays');
      await page.waitForTimeout(1_000);
      assert.equal(page.url(), `${policed.origin}/plain.html`);
      assert.match(context.faults.join(), /form-action/);
    });
  },
});

/** What the page gets as its connection, in a session with the challenge of `app.py` and in one without. */
const given = async (app, way, device) =>
  as(device, async (context) => {
    const showing = script.replace('async (connection) =>', 'async (connection) => (window.last = connection) &&');
    await context.route('**/connect.js', (route) => route.fulfill({ contentType: 'text/javascript', body: showing }));
    const page = await visit(context, '/index.html', app);
    await connect(page, way);
    return page.evaluate(() => window.last);
  });

guide.rows('`connection.status`', {
  '`pending`': async () => {
    headersAre({});
    for (const [way, device] of WAYS) {
      const { grant_id, status, metadata } = await given(one, way, device);
      assert.deepEqual([grant_id, status, typeof metadata.result_code], ['', 'pending', 'string']);
    }
  },
  '`active`': async () => {
    for (const [way, device] of WAYS) {
      const { grant_id, status, metadata } = await given(lower, way, device);
      assert.deepEqual([status, metadata?.result_code], ['active', undefined]);
      assert.equal(grant_id, lower.polled);
    }
  },
});

test('every_block_of_the_guide_was_taken', () => assert.deepEqual(guide.rest(), []));
