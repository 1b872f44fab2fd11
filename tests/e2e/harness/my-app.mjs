// The app of docs/guides/embed-the-connect-widget.md as a newcomer makes it: an empty folder, the package from the running
// server, the files as they stand in the guide; and a person who goes through it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { at, devices, launchWithBackCache, pause, person } from './browser.mjs';
import { openGuide, root, startApp, writeFiles } from './guide.mjs';
import { allowAs, approve, backTo } from './journey.mjs';
import { freePort } from './net.mjs';
import { startWorld } from './world.mjs';

const run = promisify(execFile);
export const PHONE = devices['Pixel 7'];
/** How the button leads to our page, and who presses it. */
export const WAYS = [['popup', {}], ['redirect', PHONE]];
export const SUCCESS = 'Connected: alice@raw.test';

export const guide = openGuide('docs/guides/embed-the-connect-widget.md');
const tag = (has) => guide.take(({ language, code }) => language === 'html' && /^<script[^\n]*\n$/.test(code) && has(code));
export const said = {
  index: guide.file('public/index.html'),
  script: guide.file('public/connect.js'),
  plain: guide.file('public/plain.html'),
  backend: guide.file('app.py'),
  asModule: guide.take(({ code }) => code.startsWith('import AlterConnect')),
  tag: tag((code) => !code.includes('integrity')),
  pinned: tag((code) => code.includes('integrity')),
  policy: guide.take(({ code }) => code.startsWith('script-src')).trim().split('\n'),
  shell: guide.shell(),
};

/** `app.py` under the headers that a test has written into `headers.json`. */
const UNDER_HEADERS = `import json
from app import app, ORIGIN, urlsplit
@app.after_request
def headers(answer):
    answer.headers.update(json.load(open("headers.json")))
    return answer
app.run(host="127.0.0.1", port=urlsplit(ORIGIN).port)
`;

/**
 * A server, and the folder of the app. `paste()` runs the guide's lines for the shell in it and returns what they print; `app`
 * starts an app of its own from it; everything ends with `stop()`.
 */
export async function startMyApp(log) {
  const world = await startWorld({ tls: false, log, open: launchWithBackCache });
  const dir = mkdtempSync(join(tmpdir(), 'alter-e2e-my-app-'));
  const apps = [];
  const write = (files) => writeFiles(dir, files, world.origin);
  cpSync(join(root, 'docs/reference/alter_signing.py'), join(dir, 'alter_signing.py'));
  const pages = { 'public/index.html': said.index, 'public/connect.js': said.script, 'public/plain.html': said.plain };
  const package_ = JSON.stringify({ name: 'my-app', private: true });
  write({ ...pages, 'app.py': said.backend, 'under_headers.py': UNDER_HEADERS, 'headers.json': '{}', 'package.json': package_ });
  return {
    world,
    dir,
    write,
    headersAre: (headers) => writeFileSync(join(dir, 'headers.json'), JSON.stringify(headers)),

    /** `app.py` with an app of its own, at another host than the server's, as in life. */
    async app(name, providers, facts = {}, file = 'app.py') {
      const origin = `http://127.0.0.1:${await freePort()}`;
      const made = await world.cli('app', 'create', name, '--website-url', origin);
      const raw = await world.raw();
      for (const id of providers) await world.addRaw({ id: made.app_id }, raw, { id, name: id, ...facts });
      const env = { ALTER_BASE_URL: world.origin, ALTER_API_KEY: made.api_key, APP_ORIGIN: origin, APP_SECRET: 'for a test' };
      const app = await startApp(dir, join(root, 'tests/.venv/bin/python'), file, env);
      apps.push(app);
      return { ...app, origin };
    },

    /** The same pages under the same headers, with a backend that sets no challenge and polls. */
    async appThatPolls() {
      const { site, backend: signed } = await world.rawApp('Polling');
      const found = { origin: site.origin, polled: undefined };
      let token;
      const headers = () => JSON.parse(readFileSync(join(dir, 'headers.json')));
      const json = (answer, value) => answer.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
      for (const [name, type] of [['index.html', 'text/html'], ['connect.js', 'text/javascript']]) {
        site.routes[`/${name}`] = (_, answer) =>
          answer.writeHead(200, { 'Content-Type': type, ...headers() }).end(readFileSync(join(dir, 'public', name)));
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
    },

    /** npm is asked for nothing but what the lines name. What `app.py` needs is installed already. */
    async paste() {
      const offline = { npm_config_registry: 'http://127.0.0.1:9', npm_config_audit: 'false', npm_config_fund: 'false' };
      const printed = [];
      for (const lines of said.shell.filter((code) => !code.startsWith('pip install'))) {
        const code = lines.replaceAll('https://connect.example.com', world.origin);
        printed.push((await run('bash', ['-euc', code], { cwd: dir, env: { PATH: process.env.PATH, HOME: dir, ...offline } })).stdout);
      }
      return printed;
    },

    /** A person on this device, who goes through `work`. */
    async as(device, work, made = person(world.browser, device)) {
      const context = await made;
      try {
        return await work(context);
      } catch (error) {
        throw new Error([error.message, ...context.faults, ...apps.map((app) => app.said().slice(-1000))].join('\n'), { cause: error });
      } finally {
        await context.close();
      }
    },

    /** The page has nothing to say, and has asked for nothing. */
    async heardNothing(page) {
      const from = world.seen.length;
      await pause(300);
      assert.equal(await page.locator('#outcome').innerText(), '');
      assert.deepEqual(world.seen.slice(from).filter(({ target }) => target === '/connect/result'), []);
    },

    async stop() {
      for (const app of apps) await app.stop();
      await world.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export const outcome = (page, words) => page.locator('#outcome').filter({ hasText: words }).waitFor();

/** Opens a page of an app. */
export async function visit(context, app, path = '/index.html') {
  const page = await context.newPage();
  await page.goto(app.origin + path);
  return page;
}

/** From the button to our page: in a popup, or in this tab. */
export async function press(page, way, name = 'consent') {
  if (way === 'redirect') {
    await page.click('#connect');
    return at(page, name);
  }
  const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#connect')]);
  return at(popup, name);
}

export async function connect(page, way) {
  const there = await press(page, way);
  await approve(there);
  await allowAs(there);
  await outcome(page, SUCCESS);
}

export const back = (page) => backTo(page, '#outcome');
