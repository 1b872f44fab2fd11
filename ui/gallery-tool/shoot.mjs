// Takes a picture of every page and state: 500x700 light and dark, 320x640, 1024x768, and right to left; runs axe
// on each; measures the compressed weight. Fails on a CSP violation, an axe finding, a sideways scroll or weight.
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { launch, manifest, ORIGIN, page as source, path, script, stage } from './stage.mjs';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const out = new URL('../gallery/', import.meta.url);
const only = process.argv.slice(2);
const names = manifest.pages.filter((name) => !only.length || only.some((o) => name.startsWith(o)));
const VIEWS = [
  { folder: 'light', viewport: { width: 500, height: 700 }, colorScheme: 'light' },
  { folder: 'dark', viewport: { width: 500, height: 700 }, colorScheme: 'dark' },
  { folder: 'narrow', viewport: { width: 320, height: 640 }, colorScheme: 'light' },
  { folder: 'wide', viewport: { width: 1024, height: 768 }, colorScheme: 'light' },
  { folder: 'rtl', viewport: { width: 500, height: 700 }, colorScheme: 'dark', rtl: true },
];
// these answers close nothing and lead nowhere: the page stays as it was painted, with the script awake
const stay = (verb) => (verb === 'state' ? [200, { page: 'waiting' }] : verb === 'peek' ? new Promise(() => {}) : [200, {}]);

const findings = [];
const browser = await launch();

// One page, in a context of its own, as it looks once the script is awake. `letIn` switches the CSP off: axe must be
// injected into the page, so it runs on a second copy.
const theatre = async ({ rtl, ...options }, letIn) => {
  const context = await browser.newContext({ ...options, bypassCSP: letIn, reducedMotion: 'reduce' });
  const seen = await stage(context, 'shell', stay);
  const page = await context.newPage();
  await page.addInitScript(() => { window.close = () => {}; });
  const show = async (name) => {
    seen.name = name;
    await page.goto('about:blank');
    await page.goto(ORIGIN + path(name) + (name === 'shell' ? '#session=alter_cs_sample' : ''));
    if (rtl) await page.evaluate(() => { document.documentElement.dir = 'rtl'; });
    await page.waitForTimeout(/^(consent|extra)/.test(name) ? 700 : 100);
    return page;
  };
  return { show, seen, close: () => context.close() };
};

for (const { folder, ...options } of VIEWS) {
  mkdirSync(new URL(`${folder}/`, out), { recursive: true });
  const [stalls, box] = [await theatre(options, false), await theatre(options, true)];
  for (const name of names) {
    const page = await stalls.show(name);
    const { wide, tall } = await page.evaluate(() => ({
      wide: document.documentElement.scrollWidth > innerWidth,
      tall: document.documentElement.scrollHeight,
    }));
    if (wide) findings.push(`${folder}/${name}: scrolls sideways`);
    if (folder === 'light' && tall > 700) console.log(`${name}: ${tall} px tall at 500x700`);
    await page.screenshot({ path: new URL(`${folder}/${name}.png`, out).pathname, fullPage: true });
    for (const error of stalls.seen.errors.splice(0)) findings.push(`${folder}/${name}: ${error}`);
    if (folder !== 'light' && folder !== 'dark') continue;
    for (const line of await accessibility(await box.show(name))) findings.push(`${folder}/${name}: ${line}`);
  }
  await stalls.close();
  await box.close();
}
await browser.close();

async function accessibility(page) {
  await page.evaluate(() => document.querySelectorAll('details').forEach((d) => { d.open = true; }));
  await page.addScriptTag({ path: axe });
  const { violations } = await page.evaluate(() =>
    axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  return violations.map((v) => `${v.id}: ${v.help} (${v.nodes.map((n) => n.target).join(', ')})`);
}

const weight = (text) => gzipSync(text, { level: 6 }).length;
const [largest, bytes] = manifest.pages.map((name) => [name, weight(source(name))]).sort((a, b) => b[1] - a[1])[0];
const total = bytes + weight(script);
if (total > 20_000) findings.push(`weight ${total}`);
console.log(`weight: ${largest} ${bytes} + script ${weight(script)} = ${total} bytes gzipped (budget 20000)`);
writeFileSync(new URL('findings.txt', out), findings.join('\n'));
console.log(findings.length ? findings.join('\n') : 'no findings');
process.exitCode = findings.length ? 1 : 0;
