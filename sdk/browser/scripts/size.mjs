/** The byte budget of each format, gzip level 9: `AIM` is the goal, above `LIMIT` the check fails. */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const AIM = 2304;
const LIMIT = 2560;

for (const format of ["esm", "cjs", "umd"]) {
  const bytes = gzipSync(readFileSync(new URL(`../dist/alter-connect.${format}.js`, import.meta.url)), { level: 9 }).length;
  const verdict = bytes > LIMIT ? "OVER THE LIMIT" : bytes > AIM ? "over the aim" : "ok";
  console.log(`${format} ${bytes} bytes gzipped (aim ${AIM}, limit ${LIMIT}): ${verdict}`);
  if (bytes > LIMIT) process.exitCode = 1;
}
