// What the guides say to paste, pasted: the complete apps with the published clients and a person in a browser, and the
// shell's lines in three shells.
import assert from 'node:assert/strict';
import { devices } from 'playwright-core';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { clickConnect, at, person } from './harness/browser.mjs';
import { blocksOf, openGuide, read, root, startApp, writeFiles } from './harness/guide.mjs';
import { allowAs, approve } from './harness/journey.mjs';
import { freePort } from './harness/net.mjs';
import { startWorld } from './harness/world.mjs';

const run = promisify(execFile);
const guide = openGuide('docs/guides/complete-apps.md');

let world, dir;
before(async () => {
  world = await startWorld({ tls: false, log: 'guides' });
  dir = mkdtempSync(join(tmpdir(), 'alter-e2e-guides-'));
  symlinkSync(join(root, 'tests/e2e/node_modules'), join(dir, 'node_modules'));
});
after(async () => {
  await world?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** Starts a file of the guide on a port of its own. */
function start(file, command, env) {
  writeFiles(dir, { [file]: guide.file(file) }, world.origin);
  return startApp(dir, command, file, env);
}

const python = join(root, 'tests/.venv/bin/python');
for (const [file, command, installs] of [
  ['fastapi_app.py', python, 'pip install alter-sdk fastapi uvicorn'],
  ['flask_app.py', python, 'pip install alter-sdk flask'],
  ['express_app.mjs', process.execPath, 'npm install express'],
]) {
  test(`${file}_of_the_guide_connects_an_account_and_calls_its_api_again_and_again`, async () => {
    const said = guide.take(({ language, code }) => language === 'sh' && code.includes(file));
    assert.ok(said.startsWith(`${installs}\n`), 'the guide names what it needs');
    const origin = `http://localhost:${await freePort()}`;
    const made = await world.cli('app', 'create', file, '--website-url', origin);
    const raw = await world.raw();
    await world.addRaw({ id: made.app_id }, raw);
    const env = { ALTER_BASE_URL: world.origin, ALTER_API_KEY: made.api_key, APP_ORIGIN: origin, API_URL: `${raw.origin}/api/me` };
    const app = await start(file, command, env);
    const context = await person(world.browser);
    try {
      const page = await context.newPage();
      await page.goto(`${origin}/`);
      const out = page.locator('#out');
      const profile = async (user) => {
        await page.locator('#out').evaluate((it) => { it.textContent = ''; });
        await page.click('#profile');
        await out.filter({ hasText: '}' }).waitFor();
        assert.equal(JSON.parse(await out.innerText()).email, `${user}@raw.test`, app.said());
      };
      await page.click('#profile');
      await out.filter({ hasText: /./ }).waitFor();
      assert.ok(!(await out.innerText()).includes('@raw.test'), 'control: nothing is connected yet');
      for (const user of ['alice', 'bob']) {
        const popup = await approve(await at(await clickConnect(page), 'consent'));
        await allowAs(popup, user);
        await out.filter({ hasText: `"connected": "${user}@raw.test"` }).waitFor();
        await profile(user);
        await profile(user);
      }
      const phone = await person(world.browser, devices['Pixel 7']);
      const there = await phone.newPage();
      await there.goto(`${origin}/`);
      await there.click('#connect');
      await approve(await at(there, 'consent'));
      await allowAs(there, 'alice');
      await there.locator('#out').filter({ hasText: '"connected": "alice@raw.test"' }).waitFor();
      await phone.close();
    } catch (error) {
      throw new Error(`${error.message}\n${app.said()}`, { cause: error });
    } finally {
      await context.close();
      await app.stop();
    }
  });
}

test('the_three_apps_serve_the_same_page', () => {
  const page = (file) => guide.file(file).match(/<!doctype html>.*?<\/html>/s)[0].replaceAll(/\$\{SERVER\}/g, 'SERVER');
  assert.equal(page('flask_app.py'), page('fastapi_app.py'));
  assert.equal(page('express_app.mjs'), page('fastapi_app.py'));
});

for (const shell of ['bash', 'dash', 'zsh']) {
  test(`alter_call_signs_in_${shell}_with_a_body_and_without`, async () => {
    const made = await world.cli('app', 'create', `An app for ${shell}`, '--website-url', 'http://localhost:8000');
    const env = { PATH: process.env.PATH, ALTER_BASE_URL: world.origin, ALTER_API_KEY: made.api_key };
    const say = async (line) => JSON.parse((await run(shell, ['-c', `. docs/reference/alter-call.sh\n${line}`], { cwd: root, env })).stdout);
    assert.deepEqual((await say(`alter_call POST /sdk/grants/list '{"limit": 5}'`)).grants, []);
    const listed = await say('alter_call GET /sdk/agents');
    assert.deepEqual(listed.items, [], JSON.stringify(listed));
    const spaced = `alter_call POST /sdk/agents '{"name": "mail-helper", "display_name": "Mail helper * $HOME"}'`;
    const answer = JSON.stringify(await say(spaced));
    assert.ok(answer.includes('"Mail helper * $HOME"'), `the body arrives as it was written: ${answer}`);
  });

  test(`alter_is_on_the_path_as_the_guide_says_in_${shell}`, { skip: !!process.env.ALTER_BIN && 'another binary is tested' }, async () => {
    const lines = blocksOf(read('docs/guides/connect-an-account.md')).flatMap(({ language, code }) => (language === 'sh' ? code.split('\n') : []));
    const [path, more] = lines.filter((line) => line.startsWith('export PATH='));
    assert.ok(path && !more, 'the guide has one such line');
    const { stdout } = await run(shell, ['-c', `${path}\nalter --version`], { cwd: root, env: { PATH: '/usr/bin:/bin' } });
    assert.match(stdout, /^alter \d/);
  });
}

test('no_line_to_paste_ends_in_a_comment_which_zsh_would_pass_on_as_words', () => {
  const guides = readdirSync(join(root, 'docs/guides')).map((file) => `docs/guides/${file}`);
  // Whoever runs it in production does so on a server, in bash.
  const files = ['README.md', 'sdk/browser/README.md', ...guides.filter((file) => !/production|backup/.test(file))];
  for (const file of files) {
    for (const { code } of blocksOf(read(file)).filter(({ language }) => language === 'sh')) {
      for (const line of code.split('\n')) assert.ok(!/\S\s+# /.test(line), `${file}: ${line}`);
    }
  }
});
