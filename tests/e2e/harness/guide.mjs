// A guide as a reader takes it: its blocks to paste and its tables.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { request } from './net.mjs';

export const root = fileURLToPath(new URL('../../../', import.meta.url));
export const read = (file) => readFileSync(join(root, file), 'utf8');
export const blocksOf = (text) => [...text.matchAll(/^```(\w*)\n(.*?)^```/gms)].map(([, language, code]) => ({ language, code }));

/** A guide whose blocks are counted: `rest()` has those that nothing has taken. */
export function openGuide(path) {
  const text = read(path);
  const blocks = blocksOf(text);
  const taken = new Set();
  /** The one block for which this holds. */
  const take = (holds, what = `${holds}`) => {
    const found = blocks.filter(holds);
    assert.equal(found.length, 1, `one block of ${path} is ${what}`);
    taken.add(found[0]);
    return found[0].code;
  };
  return {
    take,
    /** The block that begins with a comment that names the file. */
    file: (name) => take(({ code }) => new RegExp(`^(#|//|<!--) ${name.replaceAll('.', '\\.')}( -->)?\\n`).test(code), name),
    /** What is to be pasted into a shell, block by block. */
    shell: () => blocks.filter(({ language }) => language === 'sh').map((block) => (taken.add(block), block.code)),
    rest: () => blocks.filter((block) => !taken.has(block)).map(({ code }) => code),
    /**
     * Each row of the table whose head has this first cell becomes a test: what is written for it in `deeds`, which gets the
     * other cells. No row is without one, and none is made up.
     */
    rows(first, deeds) {
      const table = tableOf(text, first);
      assert.deepEqual(table.map(([cell]) => cell), Object.keys(deeds), `the rows of: ${first}`);
      for (const [cell, ...rest] of table) test(`${first}: ${cell}`, () => deeds[cell](...rest.map((words) => words.replaceAll('`', ''))));
    },
  };
}

function tableOf(text, first) {
  const lines = text.split('\n');
  const head = lines.findIndex((line) => line.startsWith(`| ${first} |`));
  assert.ok(head >= 0, `there is a table of: ${first}`);
  const end = lines.findIndex((line, n) => n > head && !line.startsWith('|'));
  return lines.slice(head + 2, end).map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()));
}

/** Writes files of an app into a folder, with the test's server in the place of the guide's. */
export function writeFiles(dir, files, server) {
  for (const [name, code] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), code.replaceAll('https://connect.example.com', server));
  }
}

/** Starts a file of an app and waits until its address answers. */
export async function startApp(dir, command, file, env) {
  const child = spawn(command, [file], { cwd: dir, env: { PATH: process.env.PATH, ...env } });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (chunk) => { said += chunk; });
  const gone = new Promise((done) => child.once('exit', done));
  for (let tries = 0; tries < 1200; tries += 1) {
    if (child.exitCode !== null) throw new Error(`${file} ended: ${said}`);
    if (await request(env.APP_ORIGIN).catch(() => null)) break;
    await new Promise((done) => setTimeout(done, 50));
  }
  return { said: () => said, stop: () => (child.kill('SIGKILL'), gone) };
}
