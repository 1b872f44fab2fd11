/** The byte budget of each format, gzip level 9: above it the check fails. Long sentences live on the server. */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGET = 3072;

for (const format of ["esm", "cjs", "umd"]) {
  const bytes = gzipSync(readFileSync(new URL(`../dist/alter-connect.${format}.js`, import.meta.url)), { level: 9 }).length;
  console.log(`${format} ${bytes} bytes gzipped (budget ${BUDGET}): ${bytes > BUDGET ? "OVER IT" : "ok"}`);
  if (bytes > BUDGET) process.exitCode = 1;
}
