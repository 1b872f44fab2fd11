// What the reports of the browser's benches share: medians, and where they were taken.
import { cpus, totalmem } from 'node:os';

const sorted = (numbers) => numbers.toSorted((a, b) => a - b);
export const median = (numbers) => {
  const all = sorted(numbers);
  return (all[(all.length - 1) >> 1] + all[all.length >> 1]) / 2;
};

/** The median, with the least and the most. */
export const spread = (all) => `${median(all).toFixed(0)} (${sorted(all)[0].toFixed(0)} to ${sorted(all).at(-1).toFixed(0)})`;
export const machine = () => `${cpus().length} x ${cpus()[0].model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`;
export const today = () => new Date().toISOString().slice(0, 10);
