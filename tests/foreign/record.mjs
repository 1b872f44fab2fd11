// Writes results.md: what the last whole walk saw.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The version that is installed, as the package itself says. */
function version(name) {
  if (name.startsWith('Python ')) {
    const text = 'import sys, importlib.metadata as m; print(m.version(sys.argv[1]))';
    return execFileSync(here('../.venv/bin/python'), ['-c', text, name.slice(7)], { encoding: 'utf8' }).trim();
  }
  return JSON.parse(readFileSync(here(`node_modules/${name.slice(4)}/package.json`), 'utf8')).version;
}

export function record(results, chromium) {
  const day = new Date().toISOString().slice(0, 10);
  const sections = results.map(({ name, facts, steps, failed }) => {
    const rows = steps.map(({ what, seen }) => `| ${what} | ${seen || 'as it should be'} |`).join('\n');
    const end = failed ? `\nFailed: ${String(failed.message).split('\n')[0]}\n` : '';
    return `## ${name} ${version(facts.package)}\n\n${facts.how}.\n\n| Step | Seen |\n|---|---|\n${rows}\n${end}`;
  });
  const head = `# The last walk\n\nWritten by \`tests/foreign/run --record\` on ${day}, with Chromium ${chromium}.\n\n`;
  writeFileSync(here('results.md'), head + sections.join('\n'));
}
