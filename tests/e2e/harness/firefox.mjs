// The system's own Firefox, over its Marionette protocol: Playwright would need a Firefox of its own. Enough for a few
// scenes: windows, frames, clicks, scripts, and preferences that make it an older Firefox.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pause } from './browser.mjs';
import { freePort } from './net.mjs';

const BIN = process.env.ALTER_FIREFOX || '/usr/bin/firefox';
/** Why a test that needs Firefox is skipped, if it is. */
export const noFirefox = !existsSync(BIN) && `${BIN} is not there`;

/** A profile with these preferences; returns its folder. */
function profile(preferences) {
  const dir = mkdtempSync(join(tmpdir(), 'alter-e2e-firefox-'));
  const lines = Object.entries(preferences).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`);
  writeFileSync(join(dir, 'user.js'), lines.join(''));
  return dir;
}

async function connected(port) {
  for (const end = Date.now() + 120_000; Date.now() < end; await pause(200)) {
    const socket = await new Promise((done) => {
      const trying = net.connect(port, '127.0.0.1', () => done(trying)).once('error', () => done(null));
    });
    if (socket) return socket;
  }
  throw new Error('Firefox does not listen');
}

/** Messages are `LENGTH:JSON`: first a greeting, then `[1, id, error, value]` for each `[0, id, command, parameters]`. */
async function session(socket) {
  const waiting = new Map();
  let rest = Buffer.alloc(0);
  let asked = 0;
  const take = ([, id, error, value]) => {
    const { resolve, reject } = waiting.get(id);
    if (error) reject(new Error(`${error.error}: ${error.message}`));
    else resolve(value);
  };
  const greeted = new Promise((hello) => {
    socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (let colon = rest.indexOf(':'); colon > 0; colon = rest.indexOf(':')) {
        const end = colon + 1 + Number(rest.subarray(0, colon));
        if (rest.length < end) return;
        const message = JSON.parse(rest.subarray(colon + 1, end));
        rest = rest.subarray(end);
        if (Array.isArray(message)) take(message);
        else hello();
      }
    });
  });
  await greeted;
  return (command, parameters = {}) =>
    new Promise((resolve, reject) => {
      asked += 1;
      waiting.set(asked, { resolve, reject });
      const text = JSON.stringify([0, asked, `WebDriver:${command}`, parameters]);
      socket.write(`${Buffer.byteLength(text)}:${text}`);
    });
}

/** Starts Firefox. `preferences` are those of about:config. */
export async function startFirefox(preferences = {}) {
  const port = await freePort();
  const dir = profile({ 'marionette.port': port, ...preferences });
  const child = spawn(BIN, ['--marionette', '--headless', '--no-remote', '-profile', dir], { stdio: 'ignore', env: { ...process.env, HOME: dir } });
  const send = await session(await connected(port));
  await send('NewSession', { acceptInsecureCerts: true, timeouts: { implicit: 60_000 } });
  const find = async (css) => Object.values((await send('FindElement', { using: 'css selector', value: css })).value)[0];
  const firefox = {
    go: (url) => send('Navigate', { url }),
    find,
    click: async (css) => send('ElementClick', { id: await find(css) }),
    run: async (script) => (await send('ExecuteScript', { script, args: [] })).value,
    window: async () => (await send('GetWindowHandle')).value,
    windows: () => send('GetWindowHandles'),
    use: (handle) => send('SwitchToWindow', { handle, focus: true }),
    frame: async (css) => send('SwitchToFrame', { element: await find(css) }),
    close: () => send('CloseWindow'),
    stop: async () => {
      child.kill('SIGKILL');
      await new Promise((done) => child.once('exit', done));
      rmSync(dir, { recursive: true, force: true, maxRetries: 20 });
    },
  };
  return firefox;
}
