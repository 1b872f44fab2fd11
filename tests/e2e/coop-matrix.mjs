// What the app hears under every opener policy of app and provider, in Chromium, Firefox and WebKitGTK: never an exit while
// the person is there, and an exit when the popup was closed. It takes about five minutes an engine, and writes
// results/coop-ENGINE.md: `node --experimental-websocket coop-matrix.mjs [chromium] [firefox] [webkit]`. Twelve of these cells
// run in the test command, in every engine (coop.test.mjs).
import { writeFileSync } from 'node:fs';
import { LAUNCH, clickConnect, pause, told, until } from './harness/browser.mjs';
import { visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

const ENGINES = LAUNCH;
/** How many cells of an engine run at a time. */
const ABREAST = 3;
/** How often a cell is tried in which the driver lost a window or a click. What the app heard is never tried again. */
const TRIES = 3;
/** How long a person stays where the popup may look closed: longer than the five seconds after which an exit may be told. */
const STAY = 8000;

const coop = (policy) => ({ 'Cross-Origin-Opener-Policy': policy });
const PROVIDERS = {
  'no COOP': {},
  'same-origin': { headers: coop('same-origin') },
  'same-origin-allow-popups': { headers: coop('same-origin-allow-popups') },
  'noopener-allow-popups': { headers: coop('noopener-allow-popups') },
  'a later hop: same-origin': { hop: coop('same-origin') },
  'a later hop: same-origin-allow-popups': { hop: coop('same-origin-allow-popups') },
};
const APPS = ['no COOP', 'same-origin-allow-popups', 'same-origin'];

const onOurPage = (popup) => popup.evaluate(() => document.body?.dataset.page === 'consent').catch(() => true);

/** One flow, up to the provider's last page. */
async function away(context, app, appCoop) {
  const page = await visit(context, app.site, appCoop === 'no COOP' ? '' : `?coop=${appCoop}`);
  const popup = await clickConnect(page);
  const approve = '[data-do="approve"]:not([aria-disabled="true"])';
  await popup.locator(approve).waitFor();
  // A window that just came to the front swallows the first click: it may have been aimed at another one.
  for (const till = Date.now() + 20_000; Date.now() < till && (await onOurPage(popup)); await pause(1000)) {
    await popup.click(approve, { noWaitAfter: true }).catch(() => {});
  }
  if (app.raw.hop) {
    await popup.locator('#on').waitFor();
    await pause(1500); // so that the app's page sees an open popup first
    await popup.click('#on', { noWaitAfter: true });
  }
  await popup.locator('#alice').waitFor();
  return { page, popup };
}

const kinds = async (page) => (await told(page)).ends.map((end) => end.kind);
async function end(page, limit) {
  const from = Date.now();
  while (Date.now() - from < limit) {
    const { ends } = await told(page);
    if (ends.length) return { kind: ends[0].kind, code: ends[0].value?.code, at: ends[0].at };
    await pause(100);
  }
  return { kind: 'nothing' };
}

async function back({ page, popup }) {
  // Not awaited: the window may be gone before the driver has its answer.
  popup.click('#alice', { noWaitAfter: true }).catch(() => {});
  return (await end(page, 30_000)).kind;
}

/** Three flows that come back, by which a provider shows that it keeps the opener. */
async function threeKept(context, app, appCoop) {
  for (let n = 0; n < 3; n += 1) {
    const flow = await away(context, app, appCoop);
    const kind = await back(flow);
    if (kind !== 'success') throw new Error(`a flow that should teach ended with ${kind}`);
    await flow.page.close();
  }
}

/** What people do. Each returns what the app heard, in words that `expected` has too. */
const ACTS = {
  async 'stays and comes back'(context, app, appCoop) {
    const flow = await away(context, app, appCoop);
    await pause(STAY);
    const early = await kinds(flow.page);
    return [...early, await back(flow)].join(', ');
  },
  async 'clicks in the app meanwhile'(context, app, appCoop) {
    const flow = await away(context, app, appCoop);
    for (const till = Date.now() + STAY; Date.now() < till; await pause(1500)) {
      await flow.page.bringToFront();
      await flow.page.click('h1');
    }
    const early = await kinds(flow.page);
    await flow.popup.bringToFront();
    return [...early, await back(flow)].join(', ');
  },
  async 'closes, nothing known'(context, app, appCoop) {
    const flow = await away(context, app, appCoop);
    await flow.popup.close();
    const { kind } = await end(flow.page, 75_000);
    return kind;
  },
  async 'closes after three flows that kept'(context, app, appCoop) {
    await threeKept(context, app, appCoop);
    const flow = await away(context, app, appCoop);
    await pause(2000);
    const closed = Date.now();
    await flow.popup.close();
    const { kind, at } = await end(flow.page, 30_000);
    return kind === 'exit' && at - closed <= 10_000 ? `exit within 10 s` : `${kind} after ${at - closed} ms`;
  },
  async 'three flows keep, then a hop severs: back at once, and stays the next time'(context, app, appCoop) {
    await threeKept(context, app, appCoop);
    app.raw.hop = coop('same-origin');
    const first = await away(context, app, appCoop);
    await until(async () => !(await first.page.evaluate(() => window.flow.instance.isOpen())));
    await pause(700); // so that the server has heard of it
    const seen = [await back(first)];
    await first.page.close();
    seen.push(await ACTS['stays and comes back'](context, app, appCoop));
    return seen.join(', ');
  },
};

function* cells() {
  for (const app of APPS) {
    for (const provider of Object.keys(PROVIDERS)) {
      for (const act of ['stays and comes back', 'clicks in the app meanwhile']) yield { app, provider, act, expected: 'success' };
    }
  }
  for (const provider of ['no COOP', 'same-origin', 'a later hop: same-origin']) {
    yield { app: 'no COOP', provider, act: 'closes, nothing known', expected: 'exit', flags: ['--session-ttl', '60'] };
  }
  for (const app of APPS.slice(0, 2)) {
    yield { app, provider: 'no COOP', act: 'closes after three flows that kept', expected: 'exit within 10 s' };
    yield {
      app, provider: 'no COOP', expected: 'success, success',
      act: 'three flows keep, then a hop severs: back at once, and stays the next time',
    };
  }
}

async function run(world, cell) {
  let done;
  for (let tries = 0; tries < TRIES && !(done && !done.seen.startsWith('failed')); tries += 1) done = await tryOnce(world, cell);
  return done;
}

async function tryOnce(world, cell) {
  const app = await world.rawApp('Cell', cell.flags);
  Object.assign(app.raw, PROVIDERS[cell.provider]);
  const from = Date.now();
  let browser, seen;
  try {
    // One of its own: after some thirty cells, Firefox stops answering its driver.
    browser = await world.launch();
    const context = await browser.newContext();
    seen = await ACTS[cell.act](context, app, cell.app);
  } catch (error) {
    seen = `failed: ${String(error.message).split('\n')[0]}`;
  }
  await browser?.close().catch(() => {});
  return { ...cell, seen, seconds: Math.round((Date.now() - from) / 1000) };
}

async function matrix(engine) {
  const world = await startWorld({ tls: false, log: `coop-${engine}`, open: ENGINES[engine] });
  world.launch = ENGINES[engine];
  const version = world.browser.version();
  const [waiting, done] = [[...cells()].entries(), []];
  const work = async () => {
    for (const [n, cell] of waiting) {
      done[n] = await run(world, cell);
      const { app, provider, act, seen, seconds, expected } = done[n];
      console.log(`${seen === expected ? 'ok    ' : 'NOT OK'} ${engine}: app ${app}; provider ${provider}; ${act}: ${seen} (${seconds} s)`);
    }
  };
  await Promise.all(Array.from({ length: ABREAST }, work));
  await world.stop();
  return { engine, version, done };
}

/** Writes what was heard, and returns how many cells were not as expected. */
function write({ engine, version, done }) {
  const row = ({ app, provider, act, expected, seen, seconds }) =>
    `| ${app} | ${provider} | ${act} | ${seen}${seen === expected ? '' : ` (expected: ${expected})`} | ${seconds} |`;
  const bad = done.filter(({ seen, expected }) => seen !== expected).length;
  writeFileSync(new URL(`results/coop-${engine}.md`, import.meta.url), `# Opener policies: what the app hears in ${engine}

Made by \`node coop-matrix.mjs ${engine}\` on ${new Date().toISOString().slice(0, 10)}, version ${version}: ${done.length} cells, ${done.length - bad} as expected.
Each cell has an app and a provider of its own. A person who "stays" is on the provider's last page for ${STAY / 1000} s.

| COOP of the app | COOP of the provider | The person | The app hears | Seconds |
|---|---|---|---|---|
${done.map(row).join('\n')}
`);
  return bad;
}

const wanted = process.argv.slice(2);
let bad = 0;
for (const engine of wanted.length ? wanted : Object.keys(ENGINES)) bad += write(await matrix(engine));
process.exit(bad ? 1 : 0);
