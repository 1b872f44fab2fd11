// After a whole run in Firefox or WebKitGTK: compares what passed and what was skipped with what results/ENGINE.json says,
// and docs/reference/engines.md with all of them. With ALTER_UPDATE_ENGINES=1 it writes both instead.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { launch } from './browser.mjs';
import { CORE, ENGINE, FILES, LACKS, LEFT_OUT, numbers } from './engines.mjs';

const NAMES = { firefox: 'Firefox', webkit: 'WebKitGTK' };
const here = (path) => new URL(`../${path}`, import.meta.url);
const PAGE = here('../../docs/reference/engines.md');
const read = (engine) => JSON.parse(readFileSync(here(`results/${engine}.json`), 'utf8'));
const rows = (cells) => cells.map((row) => `| ${row.join(' | ')} |`).join('\n');

/** Chromium runs every file, so that the files themselves say which numbers it has. */
function inChromium() {
  const files = readdirSync(here('')).filter((file) => file.endsWith('.test.mjs') && !file.startsWith('firefox'));
  const names = files.flatMap((file) => [...readFileSync(here(file), 'utf8').matchAll(/\btest\(['"`](.*?)['"`],/g)].map(([, name]) => name));
  return [...new Set(names.flatMap(numbers))].sort();
}

function page() {
  const all = Object.keys(NAMES).map((engine) => [engine, NAMES[engine], read(engine)]);
  return `# Engines: what is tested where

Made by \`ALTER_UPDATE_ENGINES=1 tests/e2e/run\` with \`ALTER_E2E_BROWSER=firefox\` and \`webkit\`, and checked by their runs.

Every browser test runs in Chromium. The test command runs ${CORE.webkit.map((file) => `\`${file}\``).join(', ')} in Firefox and WebKitGTK too
(\`scripts/test firefox\`, \`scripts/test webkit\`). \`ALTER_E2E_BROWSER=firefox tests/e2e/run\`, and the same with \`webkit\`, run all of
these files: four to six minutes on a busy machine, and not yet wholly green in every run. In two more engines run: ${FILES.webkit.map((file) => `\`${file}\``).join(', ')}. The page
at which each flow starts, the SDK, client 0.8.0, our pages and the providers are the same there. A phone or tablet is a user
agent and a small window in all three; its touch screen is emulated in Chromium alone.

| Engine | Version of the committed run |
|---|---|
${rows(all.map(([, name, { version }]) => [name, version]))}

## Attacks that a browser test tries

By number (threats 2). The other numbers have no browser in their tests (\`docs/security-tests.md\`).

| Number | Chromium | ${all.map(([, name]) => name).join(' | ')} |
|---|---|---|---|
${rows(inChromium().map((number) => [number, 'yes', ...all.map(([, , ran]) => (ran.numbers.includes(number) ? 'yes' : 'no'))]))}

## Tests that an engine skips

| Engine | Test | Reason |
|---|---|---|
${rows(all.flatMap(([, name, { skipped }]) => skipped.map((test) => [name, test.name, test.why])))}

## What a test leaves out

These tests run, without the part that the engine or its driver lacks.

| Engine | Part | Reason |
|---|---|---|
${rows(all.flatMap(([engine, name]) => Object.entries(LACKS[engine]).map(([part, why]) => [name, part, why])))}

## Files for Chromium alone

| File | Reason |
|---|---|
${rows(Object.entries(LEFT_OUT).map(([file, why]) => [`\`${file}\``, why]))}

## What no machine of ours shows

WebKitGTK is not Safari: it has no Intelligent Tracking Prevention, other rules for popups, and no tabs that iOS discards.
Before a release a person tries, on real Safari, iOS, iPadOS and Android: a connection by popup and by redirect, a refusal, a
closed window, an app in the background for a minute during the sign-in, and an installed web app.
`;
}

const { skipped, numbers: passed } = JSON.parse(readFileSync(here(`out/${ENGINE}/noted.json`), 'utf8'));
const asCommitted = () => {
  const { version, ...committed } = read(ENGINE);
  return JSON.stringify(committed) === JSON.stringify({ skipped, numbers: passed }) && readFileSync(PAGE, 'utf8') === page();
};
if (process.env.ALTER_UPDATE_ENGINES) {
  const browser = await launch();
  const version = browser.version();
  await browser.close();
  writeFileSync(here(`results/${ENGINE}.json`), `${JSON.stringify({ version, skipped, numbers: passed }, null, 2)}\n`);
  writeFileSync(PAGE, page());
} else if (!asCommitted()) {
  console.error(`docs/reference/engines.md is not what ${NAMES[ENGINE]} did: ALTER_E2E_BROWSER=${ENGINE} ALTER_UPDATE_ENGINES=1 tests/e2e/run`);
  process.exit(1);
}
process.exit(0);
