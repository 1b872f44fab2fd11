// docs/guides/embed-the-connect-widget.md, sections 1 to 5: its blocks as they stand there, and every row of its tables.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { build } from 'esbuild';
import { at, firstHeld, personWithoutCookies } from './harness/browser.mjs';
import { allowAs, answerWith, approve } from './harness/journey.mjs';
import { PHONE, SUCCESS, WAYS, back, connect, guide, outcome, press, said, startMyApp, visit } from './harness/my-app.mjs';

let mine, world, as, one, two, lower, printed;
before(async () => {
  mine = await startMyApp('embed');
  ({ world, as } = mine);
  one = await mine.app('One service', ['acme'], { name: 'Acme' });
  two = await mine.app('Two services', ['raw', 'other']);
  lower = await mine.appThatPolls();
  printed = await mine.paste();
});
after(() => mine?.stop());

test('the_lines_for_the_shell_bring_the_package_of_this_server', () => {
  const { files } = JSON.parse(printed[0]);
  assert.match(files['alter-connect.umd.js'], /^sha384-/);
  const { dependencies } = JSON.parse(readFileSync(join(mine.dir, 'package.json')));
  assert.deepEqual(dependencies, { '@alter-ai/connect': 'file:alter-connect.tgz' });
  assert.ok(said.shell.includes('pip install flask httpx\npython app.py\n'), 'what app.py needs is named');
});

/** The ways to have the SDK: what stands in the page in the place of the script tag, and the script itself. */
const module_ = () => said.script.replace('const alter = AlterConnect.create();\n', said.asModule);
const LOADED = {
  'by a script tag': async () => ({}),
  'by a script tag that is pinned': async () => {
    const { files } = JSON.parse(printed[0]);
    return { 'public/index.html': said.index.replace(said.tag, said.pinned.replace('sha384-...', files['alter-connect.umd.js'])) };
  },
  'as a package, by a bundler': async () => {
    mine.write({ 'bundled.js': module_() });
    const { outputFiles } = await build({ absWorkingDir: mine.dir, entryPoints: ['bundled.js'], bundle: true, write: false, format: 'iife', platform: 'browser' });
    return { 'public/index.html': said.index.replace(said.tag, ''), 'public/connect.js': outputFiles[0].text };
  },
  'as a package, from the app\'s own site': async () => ({
    'public/index.html': said.index.replace(said.tag, '').replace('<script src="connect.js">', '<script type="module" src="connect.js">'),
    'public/connect.js': module_().replace('"@alter-ai/connect"', '"./alter-connect.esm.js"'),
  }),
};
for (const [how, files] of Object.entries(LOADED)) {
  test(`the_page_connects_on_a_desktop_and_on_a_phone_with_the_sdk_${how.replaceAll(' ', '_')}`, async () => {
    assert.ok(said.index.includes(said.tag), 'the page has the tag of section 1');
    mine.write({ 'public/index.html': said.index, 'public/connect.js': said.script, ...(await files()) });
    try {
      for (const [way, device] of WAYS) {
        await as(device, async (context) => {
          const page = await visit(context, one);
          await connect(page, way);
          assert.equal(page.url(), `${one.origin}/index.html`);
          assert.deepEqual(context.faults, []);
        });
      }
    } finally {
      mine.write({ 'public/index.html': said.index, 'public/connect.js': said.script });
    }
  });
}

test('a_script_that_is_pinned_to_other_content_does_not_run', async () => {
  const other = `sha384-${Buffer.alloc(48).toString('base64')}`;
  mine.write({ 'public/other.html': said.index.replace(said.tag, said.pinned.replace('sha384-...', other)) });
  await as({}, async (context) => {
    const page = await visit(context, one, '/other.html');
    assert.equal(await page.evaluate(() => typeof AlterConnect), 'undefined');
  });
});

/** Section 4: the form, our page, the provider, and back. */
async function submit(context, leaveProvider = (page) => allowAs(page)) {
  const page = await visit(context, one, '/plain.html');
  await page.click('button');
  await approve(await at(page, 'consent'));
  await leaveProvider(page);
  await page.waitForURL((url) => url.pathname === '/connected');
  return page;
}
const says = async (page, words) => assert.equal(await page.locator('body').innerText(), words);

guide.rows('What the user does', {
  connects: (words) => as({}, async (context) => says(await submit(context), words)),
  'connects, and reloads the page': (words) =>
    as({}, async (context) => {
      const page = await submit(context);
      await page.reload();
      await says(page, words);
    }),
  refuses: (words) => as({}, async (context) => says(await submit(context, (page) => answerWith(page, 'access_denied')), words)),
  'comes by the return address of somebody else': (words) =>
    as({}, async (context) => {
      const { back } = await as({}, (other) => unconfirmed(other));
      await says(await visit(context, one, back.slice(one.origin.length)), words);
    }),
  'comes by the return address of somebody else, with a flow of their own under way': (words) =>
    as({}, async (context) => {
      const { back } = await as({}, (other) => unconfirmed(other));
      const page = await visit(context, one, '/plain.html');
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
  const page = await visit(context, one, '/plain.html');
  await page.click('button');
  await approve(await at(page, 'consent'));
  await allowAs(page);
  return { back: await held };
}

/** Our last page leads back by itself, or by its button where there is something to read. */const ends = (leaveProvider, words) =>
  as(PHONE, async (context) => {
    const page = await visit(context, one);
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
      const page = await visit(context, one);
      await page.click('#connect');
      await page.click('a.go');
      await outcome(page, code(heard));
    }, personWithoutCookies(PHONE, 'localhost')),
  'The user leaves by Cancel in the list of services.': () =>
    as(PHONE, async (context) => {
      const page = await visit(context, two);
      await press(page, 'redirect', 'picker');
      await page.click('[data-do="cancel"]');
      await back(page);
      await outcome(page, 'Nothing was connected.');
    }),
  'The return page is reloaded before the answer came.': () =>
    as(PHONE, async (context) => {
      const asked = firstHeld(context);
      const page = await visit(context, one);
      await approve(await press(page, 'redirect'));
      await allowAs(page);
      await asked;
      await page.reload();
      await outcome(page, SUCCESS);
    }),
  'The return page is reloaded later.': () =>
    as(PHONE, async (context) => {
      const page = await visit(context, one);
      await connect(page, 'redirect');
      await page.reload();
      await mine.heardNothing(page);
    }),
  'The return address is opened in another tab.': (heard) =>
    as(PHONE, async (context) => {
      const page = await visit(context, one);
      let came;
      page.on('request', (asked) => { if (asked.url().includes('alter_result_code')) came ??= asked.url(); });
      await connect(page, 'redirect');
      await outcome(await visit(context, one, came.slice(one.origin.length)), code(heard));
    }),
  'The user goes back to the page with the button.': async () => {
    for (const [kept, words] of [[true, 'Nothing was connected.'], [false, '']]) {
      await as(PHONE, async (context) => {
        // A page with this listener is not kept.
        if (!kept) await context.addInitScript(() => addEventListener('unload', () => {}));
        const page = await visit(context, one);
        await press(page, 'redirect');
        await page.goBack({ waitUntil: 'commit' });
        if (words) await outcome(page, words);
        else await mine.heardNothing(page);
      });
    }
  },
  'The tab keeps no storage.': (heard) =>
    as(PHONE, async (context) => {
      await context.addInitScript(() => Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('no', 'SecurityError'); } }));
      const page = await visit(context, one);
      await page.click('#connect');
      await outcome(page, code(heard));
      assert.equal(page.url(), `${one.origin}/index.html`);
    }),
});

/** What the page gets as its connection, in a session with the challenge of `app.py` and in one without. */
const given = async (app, way, device) =>
  as(device, async (context) => {
    const showing = said.script.replace('async (connection) =>', 'async (connection) => (window.last = connection) &&');
    await context.route('**/connect.js', (route) => route.fulfill({ contentType: 'text/javascript', body: showing }));
    const page = await visit(context, app);
    await connect(page, way);
    return page.evaluate(() => window.last);
  });

guide.rows('`connection.status`', {
  '`pending`': async () => {
    mine.headersAre({});
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
