// The SDK from the server, the way an app's developer gets it: `npm install` in a fresh folder, then a bundler.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { startServer } from './harness/alter.mjs';
import { request } from './harness/net.mjs';

const run = promisify(execFile);
const sdk = JSON.parse(readFileSync(new URL('../../sdk/browser/package.json', import.meta.url)));
const at = (file) => `${server.origin}/sdk/v/${sdk.version}/${file}`;

let server, dir;
before(async () => {
  server = await startServer({ tls: false, log: 'package' });
  dir = mkdtempSync(join(tmpdir(), 'alter-e2e-package-'));
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name: 'my-app', private: true }));
  // The folder's own cache, so that nothing comes from an earlier run; and no registry is asked.
  const npm = ['install', at('alter-connect.tgz'), '--no-audit', '--no-fund', '--cache', join(dir, 'cache'), '--registry', 'http://127.0.0.1:9'];
  await run('npm', npm, { cwd: dir });
});
after(async () => {
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

test('npm_installs_the_package_from_the_server_under_its_own_name_and_version', () => {
  const installed = JSON.parse(readFileSync(join(dir, 'node_modules/@alter-ai/connect/package.json')));
  assert.deepEqual([installed.name, installed.version], [sdk.name, sdk.version]);
  const { dependencies } = JSON.parse(readFileSync(join(dir, 'package.json')));
  assert.deepEqual(dependencies, { [sdk.name]: at('alter-connect.tgz') });
});

test('the_lock_file_has_the_integrity_that_the_server_shows', async () => {
  const lock = JSON.parse(readFileSync(join(dir, 'package-lock.json')));
  const shown = JSON.parse((await request(at('integrity.json'))).body);
  assert.equal(shown.version, sdk.version);
  assert.equal(lock.packages[`node_modules/${sdk.name}`].integrity, shown.files['alter-connect.tgz']);
});

for (const [format, source] of [
  ['import', 'import AlterConnect from "@alter-ai/connect"; globalThis.made = AlterConnect.create({ baseURL: "https://connect.example.com" });'],
  ['require', 'const { default: AlterConnect } = require("@alter-ai/connect"); globalThis.made = AlterConnect.create();'],
]) {
  test(`a_bundler_takes_it_by_${format}`, async () => {
    const folder = join(dir, format);
    mkdirSync(folder);
    writeFileSync(join(folder, 'page.js'), source);
    const { outputFiles, warnings } = await build({
      absWorkingDir: folder, entryPoints: ['page.js'], bundle: true, write: false, format: 'iife', platform: 'browser', minify: true,
    });
    assert.deepEqual(warnings, []);
    const global = {};
    new Function('globalThis', outputFiles[0].text)(global);
    assert.equal(global.made.getVersion(), sdk.version);
  });
}

test('node_itself_takes_it_both_ways', async () => {
  const node = async (...args) => (await run(process.execPath, args, { cwd: dir })).stdout.trim();
  const say = 'console.log(AlterConnect.create().getVersion())';
  assert.equal(await node('--input-type=module', '-e', `import AlterConnect from "@alter-ai/connect"; ${say}`), sdk.version);
  assert.equal(await node('-e', `const { default: AlterConnect } = require("@alter-ai/connect"); ${say}`), sdk.version);
});
