// A reporter of node:test that says nothing, and notes which tests were skipped for what this engine lacks: for table.mjs.
import { writeFileSync } from 'node:fs';
import { LACKS, ENGINE } from './engines.mjs';

const FILE = new URL(`../out/${ENGINE}/skips.json`, import.meta.url);

export default async function* skips(events) {
  const skipped = [];
  // At once, and by itself: a forced exit does not wait for what a reporter has yielded at the end.
  const note = () => writeFileSync(FILE, JSON.stringify(skipped.sort((a, b) => (a.name < b.name ? -1 : 1))));
  note();
  for await (const { type, data } of events) {
    if (type !== 'test:pass' || !Object.values(LACKS[ENGINE]).includes(data.skip)) continue;
    skipped.push({ name: data.name, why: data.skip });
    note();
  }
}
