// A reporter of node:test that says nothing. It notes for table.mjs which numbers of the threat model passed, and which tests
// were skipped for what this engine lacks.
import { writeFileSync } from 'node:fs';
import { LACKS, ENGINE, numbers } from './engines.mjs';

const FILE = new URL(`../out/${ENGINE}/noted.json`, import.meta.url);

export default async function* noted(events) {
  const [skipped, passed] = [[], new Set()];
  // At once, and by itself: a forced exit does not wait for what a reporter has yielded at the end.
  const note = () => writeFileSync(FILE, JSON.stringify({ skipped: skipped.sort((a, b) => (a.name < b.name ? -1 : 1)), numbers: [...passed].sort() }));
  note();
  for await (const { type, data } of events) {
    if (type !== 'test:pass') continue;
    if (Object.values(LACKS[ENGINE]).includes(data.skip)) skipped.push({ name: data.name, why: data.skip });
    if (!data.skip) numbers(data.name).forEach((number) => passed.add(number));
    note();
  }
}
