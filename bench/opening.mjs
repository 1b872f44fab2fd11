// What `bench/opening` runs: how long after the click a person can use the Connect page. Nothing here asserts.
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { devices, person } from '../tests/e2e/harness/browser.mjs';
import { visit } from '../tests/e2e/harness/journey.mjs';
import { startWorld } from '../tests/e2e/harness/world.mjs';
import { machine, spread, today } from './figures.mjs';

const { values: plan } = parseArgs({
  options: {
    command: { type: 'string', default: 'bench/opening' },
    commit: { type: 'string', default: '' },
    results: { type: 'string' },
    flows: { type: 'string', default: '20' },
  },
});
const flows = Number(plan.flows);
const MARK = 'BENCH ';
const load = () => loadavg().map((l) => l.toFixed(1)).join(' ');

/**
 * Runs in every page before its scripts, and logs moments in milliseconds of the wall clock: the click; the first paint of our
 * page; when its script has run, so that its buttons work; when the button Continue takes a click.
 */
function watch(mark) {
  const log = (name, at) => console.log(`${mark}${name} ${performance.timeOrigin + at}`);
  addEventListener('click', (event) => log('click', event.timeStamp), true);
  if (!location.pathname.startsWith('/connect/s/')) return;
  new PerformanceObserver((list) => list.getEntriesByName('first-contentful-paint').forEach((entry) => log('painted', entry.startTime)))
    .observe({ type: 'paint', buffered: true });
  addEventListener('DOMContentLoaded', () => {
    log('interactive', performance.now());
    const guarded = document.querySelector('[data-guard]');
    new MutationObserver(() => { if (!guarded.hasAttribute('aria-disabled')) log('awake', performance.now()); })
      .observe(guarded ?? document.body, { attributes: true });
  });
}

/** One person with an empty cache, whose page of the app has loaded, presses the button once. */
async function opening(world, app, device, page_) {
  const context = await person(world.browser, device);
  try {
    await context.addInitScript(watch, MARK);
    const at = {};
    context.on('console', (message) => {
      const [, name, time] = /^BENCH (\w+) (\S+)$/.exec(message.text()) ?? [];
      if (name) at[name] ??= Number(time);
    });
    const page = await visit(context, app.site);
    await page.waitForLoadState('networkidle');
    const there = device.isMobile ? page : page.waitForEvent('popup');
    await page.click('#connect:enabled');
    const wanted = page_ === 'consent' ? ['painted', 'awake'] : ['painted', 'interactive'];
    await (await there).locator(`body[data-page="${page_}"]`).waitFor();
    for (const till = Date.now() + 30_000; !wanted.every((name) => name in at); await new Promise((done) => setTimeout(done, 20))) {
      if (Date.now() > till) throw new Error(`never: ${JSON.stringify(at)}`);
    }
    return { painted: at.painted - at.click, interactive: at.interactive - at.click, awake: at.awake - at.click };
  } finally {
    await context.close();
  }
}

const world = await startWorld({ tls: false, log: 'bench-opening' });
const [one, two, raw] = [await world.rawApp('One service'), await world.app('Two services'), await world.raw()];
for (const id of ['one', 'two']) await world.addRaw(two, raw, { id, name: id });
for (const app of [one, two]) app.site.mint = { return_url: `${app.site.origin}/connected` };
const ways = [
  ['popup', 'consent', one, {}],
  ['popup', 'picker', two, {}],
  ['redirect (emulated phone)', 'consent', one, devices['Pixel 7']],
  ['redirect (emulated phone)', 'picker', two, devices['Pixel 7']],
].map(([name, page, app, device]) => ({ name, page, app, device, all: [] }));
const before = load();
// The ways take turns, so that other load on the machine meets all of them; the first turn warms up.
for (let n = 0; n <= flows; n += 1) {
  for (const way of ways) {
    const times = await opening(world, way.app, way.device, way.page);
    if (n) way.all.push(times);
  }
}
await world.stop();

const column = (way, name) => (Number.isNaN(way.all[0][name]) ? '' : spread(way.all.map((times) => times[name])));
const report = `# From the click to the Connect page, ${today()}

Command: \`${plan.command}\`. ${plan.commit}. ${machine()}, load average before ${before}, after ${load()}.

Chromium, loopback, http, ${flows} times each, taking turns, each with an empty cache; milliseconds after the click on the app's
button, median (least to most). The app's page fetches a token first, for which its backend mints a session.

| Way | Page | first paint | interactive: the page's script has run | Continue takes a click |
|---|---|---|---|---|
${ways.map((way) => `| ${way.name} | ${way.page} | ${column(way, 'painted')} | ${column(way, 'interactive')} | ${column(way, 'awake')} |`).join('\n')}

Continue sleeps for half a second by design: a click that was aimed at something else must approve nothing. Every other button of
the page works as soon as the page is interactive.
`;
console.log(report);
if (plan.results) writeFileSync(join(plan.results, `${today()}-opening.md`), report);
process.exit(0);
