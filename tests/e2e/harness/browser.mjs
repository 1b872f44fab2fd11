// The browser, and what every hosted page is checked with: a picture, axe, CSP violations. `ALTER_E2E_BROWSER` says which
// browser: chromium, firefox or webkit (see engines.mjs for what the latter two lack).
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, devices } from 'playwright-core';
import { OUT } from './alter.mjs';
import { launchFirefox } from './bidi.mjs';
import { closing } from './closing.mjs';
import { ENGINE, lacks } from './engines.mjs';
import { launchWebKit } from './webkit.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const options = {
  executablePath: process.env.ALTER_CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
};
const REPORT = 'E2E-VIOLATION ';

export { devices };

export const LAUNCH = {
  chromium: async () => closing(await chromium.launch(options)),
  firefox: async () => closing(await launchFirefox()),
  webkit: async () => closing(await launchWebKit()),
};
export const launch = LAUNCH[ENGINE];

/** The same with the cache for pages that the user goes back to, which playwright switches off. */
export const launchWithBackCache = async () =>
  ENGINE === 'chromium' ? closing(await chromium.launch({ ...options, ignoreDefaultArgs: ['--disable-back-forward-cache'] })) : launch();

/** One person's browser. `context.faults` collects CSP violations and script errors of all its pages. */
export async function person(browser, extra = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 500, height: 700 }, ...extra });
  return watch(context);
}

/** A browser whose user has switched cookies off: everywhere, or in Chromium for one host. */
export const personWithoutCookies = (extra = {}, host = undefined) => WITHOUT_COOKIES[ENGINE](extra, host);

const WITHOUT_COOKIES = {
  chromium: chromiumWithoutCookies,
  firefox: async (extra) => only(await launchFirefox({ 'network.cookie.cookieBehavior': 2 }), extra),
  webkit: async (extra) => only(await launchWebKit(['--cookies-policy=never']), extra),
};

/** The only person of a browser: when they leave, the browser ends. */
async function only(browser, extra) {
  const context = await browser.newContext(extra);
  context.close = () => browser.close();
  return watch(context);
}

async function chromiumWithoutCookies(extra, host) {
  const dir = mkdtempSync(join(tmpdir(), 'alter-e2e-profile-'));
  mkdirSync(join(dir, 'Default'));
  const blocked = host
    ? { content_settings: { exceptions: { cookies: { [`${host},*`]: { setting: 2 } } } } }
    : { default_content_setting_values: { cookies: 2 } };
  const settings = { profile: blocked };
  writeFileSync(join(dir, 'Default', 'Preferences'), JSON.stringify(settings));
  const context = await chromium.launchPersistentContext(dir, { ...options, ignoreHTTPSErrors: true, ...extra });
  // Not when the context closes: the browser writes into the folder until its process has ended.
  process.on('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 20 }));
  return watch(context);
}

async function watch(context) {
  // Patience for a busy machine: how fast it is decides nothing.
  context.setDefaultTimeout?.(60_000);
  context.faults = [];
  if (lacks('faults')) return context;
  context.on('console', (message) => {
    if (message.text().startsWith(REPORT)) context.faults.push(message.text().slice(REPORT.length));
  });
  context.on('weberror', (error) => context.faults.push(`${error.page()?.url()}: ${error.error()}`));
  await context.addInitScript((mark) => {
    document.addEventListener('securitypolicyviolation', (e) => {
      // Firefox asks for an icon that nobody has named, and reports that the policy forbids it.
      if (e.blockedURI.endsWith('/favicon.ico')) return;
      console.log(`${mark}${e.effectiveDirective} on ${location.href}: ${e.blockedURI} ${e.sample}`);
    });
  }, REPORT);
  return context;
}

/** A click on the app's button, and the window that it opens. */
export async function clickConnect(page) {
  const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#connect:enabled')]);
  return popup;
}

/** Waits until the app's page reports an end of the flow. Returns everything that the page knows. */
export async function ended(page) {
  await page.locator('#end:not(:empty)').waitFor({ state: 'attached' });
  return told(page);
}

/** What the app's page knows so far. */
export const told = (page) =>
  page.evaluate(() => {
    const { events, ends, violations } = window.flow;
    return { events, ends, violations };
  });

/** Waits for one of our pages, by its name in `data-page`, and looks at it (see `look`). */
export async function at(popup, name) {
  await popup.locator(`body[data-page="${name}"]`).waitFor({ state: 'attached' });
  await look(popup, name);
  return popup;
}

const looked = new Set();

/** Takes a picture and, on our pages, runs axe; once for each name and test file. */
export async function look(page, name, { foreign = false } = {}) {
  if (looked.has(name)) return;
  looked.add(name);
  if (lacks('pictures')) return;
  const violations = foreign ? [] : await axe(page);
  await page.screenshot({ path: join(OUT, `${name}.png`), fullPage: true });
  assert.deepEqual(violations, [], `axe on ${name}`);
}

/** Runs axe in an isolated world: the page's CSP and Trusted Types stay on and do not notice axe. */
export async function axe(page) {
  const session = await page.context().newCDPSession(page);
  try {
    const { frameTree } = await session.send('Page.getFrameTree');
    const world = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id });
    const run = async (expression) => {
      const answer = await session.send('Runtime.evaluate', {
        expression, contextId: world.executionContextId, awaitPromise: true, returnByValue: true,
      });
      if (answer.exceptionDetails) throw new Error(answer.exceptionDetails.exception?.description ?? 'axe failed');
      return answer.result.value;
    };
    await run(`${AXE};0`);
    const found = await run(`axe.run({runOnly: ${JSON.stringify(TAGS)}})
      .then((r) => r.violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.target).join(', ')))`);
    return found;
  } finally {
    await session.detach();
  }
}

/** Holds the first question for a result for ever: resolves when it is held. The later ones go on. */
export const firstHeld = (context) =>
  new Promise((held) => {
    let first = true;
    context.route('**/connect/result', (route) => {
      if (!first) return route.continue();
      first = false;
      return held();
    });
  });

/** Waits until `what()` holds, however busy the machine is. */
export async function until(what) {
  for (const end = Date.now() + 120_000; Date.now() < end; await pause(25)) if (await what()) return;
  throw new Error(`never: ${what}`);
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));
