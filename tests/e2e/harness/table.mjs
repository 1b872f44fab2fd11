// After a whole run in Firefox or WebKitGTK: compares what was skipped with what results/ENGINE.json says, and
// docs/reference/engines.md with all of them. With ALTER_UPDATE_ENGINES=1 it writes both instead.
import { readFileSync, writeFileSync } from 'node:fs';
import { launch } from './browser.mjs';
import { ENGINE, FILES, LACKS, LEFT_OUT } from './engines.mjs';

const NAMES = { firefox: 'Firefox', webkit: 'WebKitGTK' };
const here = (path) => new URL(`../${path}`, import.meta.url);
const PAGE = here('../../docs/reference/engines.md');
const read = (engine) => JSON.parse(readFileSync(here(`results/${engine}.json`), 'utf8'));
const rows = (cells) => cells.map((row) => `| ${row.join(' | ')} |`).join('\n');

function page() {
  const all = Object.keys(NAMES).map((engine) => [engine, NAMES[engine], read(engine)]);
  return `# Engines: what is tested where

Made by \`ALTER_UPDATE_ENGINES=1 tests/e2e/run\` with \`ALTER_E2E_BROWSER=firefox\` and \`webkit\`, and checked by their runs.

Every browser test runs in Chromium. These files run in two more engines: ${FILES.webkit.map((file) => `\`${file}\``).join(', ')}. The page
at which each flow starts, the SDK, client 0.8.0, our pages and the providers are the same there.

| Engine | Version of the committed run |
|---|---|
${rows(all.map(([, name, { version }]) => [name, version]))}

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

const skipped = JSON.parse(readFileSync(here(`out/${ENGINE}/skips.json`), 'utf8'));
if (process.env.ALTER_UPDATE_ENGINES) {
  const browser = await launch();
  const version = browser.version();
  await browser.close();
  writeFileSync(here(`results/${ENGINE}.json`), `${JSON.stringify({ version, skipped }, null, 2)}\n`);
  writeFileSync(PAGE, page());
} else if (JSON.stringify(skipped) !== JSON.stringify(read(ENGINE).skipped) || readFileSync(PAGE, 'utf8') !== page()) {
  console.error(`docs/reference/engines.md is not what ${NAMES[ENGINE]} did: ALTER_E2E_BROWSER=${ENGINE} ALTER_UPDATE_ENGINES=1 tests/e2e/run`);
  process.exit(1);
}
process.exit(0);
