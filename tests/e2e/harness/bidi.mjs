// The system's own Firefox over WebDriver BiDi: Playwright drives only the Firefox that it builds itself. Node 20 needs
// `--experimental-websocket`.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start } from './child.mjs';
import { PATIENCE, RemotePage } from './remote.mjs';

/** A connection: commands by number, and listeners for events. */
async function connect(url) {
  const socket = new WebSocket(`${url}/session`);
  await new Promise((done, failed) => Object.assign(socket, { onopen: done, onerror: () => failed(new Error(`no ${url}`)) }));
  const [answers, listeners] = [new Map(), new Set()];
  let last = 0;
  const fail = (id, message) => answers.get(id)?.({ type: 'error', error: 'no answer', message });
  socket.onmessage = ({ data }) => {
    const said = JSON.parse(data);
    if (said.type === 'event') for (const listener of listeners) listener(said.method, said.params);
    else answers.get(said.id)?.(said);
  };
  socket.onclose = () => [...answers.keys()].forEach((id) => fail(id, 'Firefox is gone'));
  const send = async (method, params, limit = PATIENCE) => {
    const id = (last += 1);
    let timer;
    const answer = new Promise((done) => {
      answers.set(id, done);
      timer = setTimeout(fail, limit, id, `within ${limit} ms`);
    });
    socket.send(JSON.stringify({ id, method, params }));
    const { type, result, error, message } = await answer;
    clearTimeout(timer);
    answers.delete(id);
    if (type === 'error') throw new Error(`${method}: ${error}: ${message}`);
    return result;
  };
  return { send, listeners };
}

class Page extends RemotePage {
  constructor(owner, id) {
    super();
    Object.assign(this, { owner, id, closed: false });
    this.gone = new Promise((done) => {
      this.went = () => {
        this.closed = true;
        done();
      };
    });
  }

  /** A command to this window. A window that closes meanwhile may leave it without an answer. */
  send(method, params, limit) {
    const left = this.gone.then(() => { throw new Error(`${method}: the window was closed`); });
    return Promise.race([this.owner.bidi.send(method, params, limit), left]);
  }

  async run(work, given, limit) {
    const call = { functionDeclaration: work, arguments: [{ type: 'string', value: given }], awaitPromise: true, target: { context: this.id } };
    const { result, exceptionDetails } = await this.send('script.callFunction', call, limit);
    if (exceptionDetails) throw new Error(exceptionDetails.text);
    return result.value;
  }

  /** A click of the pointer, which the browser trusts. It may close the window. */
  async press({ x, y }) {
    const actions = [{ type: 'pointerMove', x, y, origin: 'viewport' }, { type: 'pointerDown', button: 0 }, { type: 'pointerUp', button: 0 }];
    const press = { context: this.id, actions: [{ type: 'pointer', id: 'mouse', actions }] };
    await this.send('input.performActions', press).catch((error) => {
      if (!this.closed) throw error;
    });
  }

  navigate(url) {
    return this.send('browsingContext.navigate', { context: this.id, url, wait: 'none' }).catch((error) => {
      // So Firefox reports a frame that may not be shown, if its error page comes while the page is left.
      if (!error.message.endsWith('Address rejected')) throw error;
    });
  }
  refresh() {
    return this.send('browsingContext.reload', { context: this.id, wait: 'none' });
  }
  travel(delta) {
    return this.send('browsingContext.traverseHistory', { context: this.id, delta });
  }
  async tree() {
    return (await this.send('browsingContext.getTree', { root: this.id })).contexts[0];
  }
  isClosed() {
    return this.closed;
  }
  async bringToFront() {
    await this.send('browsingContext.activate', { context: this.id }).catch(() => {});
  }
  async close() {
    // As a person does: the page hears of it.
    await this.send('browsingContext.close', { context: this.id, promptUnload: true }).catch(() => {});
  }
  /** The page's own frame, then those within it. */
  async frames() {
    const { children } = await this.tree();
    return [this, ...children.map(({ context }) => new Page(this.owner, context))];
  }
}

/** One person: cookies of their own, and what their pages do. */
class Context {
  faults = [];
  windows = new Map();
  heard = { console: [], weberror: [], request: [], dialog: [] };
  waiting = new Set();
  ready = [];

  constructor(bidi, id) {
    Object.assign(this, { bidi, id });
    bidi.listeners.add((this.listener = (method, params) => this.hear(method, params)));
  }

  hear(method, params) {
    const page = this.windows.get(params.context ?? params.source?.context);
    const tell = (event, what) => this.heard[event].forEach((listener) => listener(what));
    if (method === 'browsingContext.contextCreated' && params.userContext === this.id && !params.parent) this.adopt(params);
    else if (!page) return;
    else if (method === 'browsingContext.contextDestroyed') page.went();
    else if (method === 'browsingContext.userPromptOpened') tell('dialog', { message: () => params.message });
    else if (method === 'network.beforeRequestSent') tell('request', request(params));
    else if (method === 'log.entryAdded' && params.type === 'console') tell('console', { text: () => params.text });
    // A violation of a policy is not an error of a script, and the pages themselves report it.
    else if (method === 'log.entryAdded' && params.level === 'error' && !params.text.startsWith('Content-Security-Policy')) tell('weberror', { page: () => undefined, error: () => params.text });
  }

  adopt({ context, originalOpener }) {
    if (!this.windows.has(context)) this.windows.set(context, new Page(this, context));
    for (const waiter of this.waiting) waiter(this.windows.get(context), originalOpener);
  }

  /** The next window that a page of this person opens: `opener`, or any. */
  opened(opener) {
    return new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error('no window was opened')), PATIENCE);
      const waiter = (page, from) => {
        if (opener ? from !== opener.id : !from) return;
        clearTimeout(timer);
        this.waiting.delete(waiter);
        done(page);
      };
      this.waiting.add(waiter);
    });
  }

  waitForEvent() {
    return this.opened();
  }
  on(event, listener) {
    if (event === 'request') this.ready.push(this.bidi.send('session.subscribe', { events: ['network.beforeRequestSent'] }));
    this.heard[event].push(listener);
  }
  addInitScript(work, given) {
    const functionDeclaration = `() => { (${work})(${JSON.stringify(given)}) }`;
    return this.bidi.send('script.addPreloadScript', { functionDeclaration, userContexts: [this.id] });
  }

  /** As what the user's device says it is, in a window of its size. Touch Firefox cannot play. */
  async play({ userAgent, viewport }) {
    const userContexts = [this.id];
    await this.bidi.send('emulation.setUserAgentOverride', { userAgent, userContexts });
    await this.bidi.send('browsingContext.setViewport', { viewport, userContexts });
  }

  pages() {
    return [...this.windows.values()].filter((page) => !page.closed);
  }
  async newPage() {
    await Promise.all(this.ready);
    // A window of its own: the timers of a tab that another one covers are slow.
    const { context } = await this.bidi.send('browsingContext.create', { type: 'window', userContext: this.id });
    this.adopt({ context });
    return this.windows.get(context);
  }

  async cookies() {
    const { cookies } = await this.bidi.send('storage.getCookies', { partition: { type: 'storageKey', userContext: this.id } });
    const named = ({ sameSite, expiry, ...cookie }) => ({ ...cookie, expires: expiry ?? -1, sameSite: sameSite[0].toUpperCase() + sameSite.slice(1) });
    return cookies.map(named);
  }

  async close() {
    await this.bidi.send('browser.removeUserContext', { userContext: this.id }).catch(() => {});
    this.bidi.listeners.delete(this.listener);
  }
}

const request = ({ request: { url, headers } }) => {
  const plain = Object.fromEntries(headers.map(({ name, value }) => [name.toLowerCase(), value.value]));
  return { url: () => url, headers: () => plain, allHeaders: async () => plain };
};

/** Starts the program. Resolves to the address at which it takes commands. */
function listening(child) {
  return new Promise((done, failed) => {
    let text = '';
    child.once('exit', () => failed(new Error(`Firefox ended: ${text}`)));
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
      const found = /WebDriver BiDi listening on (ws:\S+)/.exec(text);
      if (found) done(found[1]);
    });
  });
}

const EVENTS = ['browsingContext.contextCreated', 'browsingContext.contextDestroyed', 'browsingContext.userPromptOpened', 'log.entryAdded'];

/** What is of the browser itself and not of the pages in it, and costs a third of the processor's time. */
const USUAL = {
  'datareporting.policy.dataSubmissionEnabled': false,
  'browser.startup.page': 0,
  'browser.newtabpage.enabled': false,
  'browser.newtab.preload': false,
  'browser.tabs.remote.warmup.enabled': false,
  'dom.ipc.processPrelaunch.enabled': false,
  'toolkit.cosmeticAnimations.enabled': false,
  'ui.prefersReducedMotion': 1,
  'layout.frame_rate': 10,
};

/** Starts it, with these preferences of about:config. One person a context, as with Playwright. */
export async function launchFirefox(preferences = {}) {
  const profile = mkdtempSync(join(tmpdir(), 'alter-e2e-firefox-'));
  const given = Object.entries({ ...USUAL, ...preferences });
  writeFileSync(join(profile, 'user.js'), given.map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`).join(''));
  const path = process.env.ALTER_FIREFOX || '/usr/bin/firefox';
  const flags = ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0'];
  const child = start(path, flags, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: profile } });
  const bidi = await connect(await listening(child));
  const { capabilities } = await bidi.send('session.new', { capabilities: { alwaysMatch: { acceptInsecureCerts: true } } });
  await bidi.send('session.subscribe', { events: EVENTS });
  return {
    version: () => capabilities.browserVersion,
    async newContext(device = {}) {
      const { userContext } = await bidi.send('browser.createUserContext', {});
      const context = new Context(bidi, userContext);
      if (device.userAgent) await context.play(device);
      return context;
    },
    async close() {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGKILL');
      await ended;
      rmSync(profile, { recursive: true, force: true, maxRetries: 20 });
    },
  };
}
