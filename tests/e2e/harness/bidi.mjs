// The system's own Firefox over WebDriver BiDi, as far as the opener matrix needs it: Playwright drives only the Firefox that
// it builds itself. Pages have the few methods of Playwright's that `coop-matrix.mjs` uses. Node 20 needs
// `--experimental-websocket`.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PATIENCE = 60_000;
/** A command to a window that closes meanwhile may stay without an answer. */
const ANSWER = 15_000;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** A connection: commands by number, and who waits for a new window. */
async function connect(url) {
  const socket = new WebSocket(`${url}/session`);
  await new Promise((done, failed) => Object.assign(socket, { onopen: done, onerror: () => failed(new Error(`no ${url}`)) }));
  const [answers, listeners] = [new Map(), new Set()];
  let last = 0;
  socket.onmessage = ({ data }) => {
    const said = JSON.parse(data);
    if (said.type === 'event') for (const listener of listeners) listener(said);
    else answers.get(said.id)?.(said);
  };
  const send = async (method, params) => {
    const id = (last += 1);
    const answer = new Promise((done) => {
      answers.set(id, done);
      setTimeout(done, ANSWER, { type: 'error', error: 'no answer', message: '' }).unref();
    });
    socket.send(JSON.stringify({ id, method, params }));
    const { type, result, error, message } = await answer;
    answers.delete(id);
    if (type === 'error') throw new Error(`${method}: ${error}: ${message}`);
    return result;
  };
  return { send, listeners };
}

class Page {
  constructor(bidi, id) {
    Object.assign(this, { bidi, id });
  }

  goto(url) {
    return this.bidi.send('browsingContext.navigate', { context: this.id, url, wait: 'complete' });
  }

  /** Calls a function of ours in the page. */
  async evaluate(work) {
    const call = { functionDeclaration: `() => JSON.stringify((${work})())`, awaitPromise: true, target: { context: this.id } };
    const { result, exceptionDetails } = await this.bidi.send('script.callFunction', call);
    if (exceptionDetails) throw new Error(exceptionDetails.text);
    return result.value === undefined ? undefined : JSON.parse(result.value);
  }

  locator(selector) {
    return { waitFor: () => this.#find(selector), click: () => this.click(selector) };
  }

  async #find(value) {
    for (const till = Date.now() + PATIENCE; Date.now() < till; await pause(50)) {
      const found = await this.bidi.send('browsingContext.locateNodes', { context: this.id, locator: { type: 'css', value } }).catch(() => undefined);
      if (found?.nodes.length) return found.nodes[0];
    }
    throw new Error(`never there: ${value}`);
  }

  /** A click of the pointer, which the browser trusts. */
  async click(selector) {
    const { sharedId } = await this.#find(selector);
    const origin = { type: 'element', element: { sharedId } };
    const actions = [{ type: 'pointerMove', x: 0, y: 0, origin }, { type: 'pointerDown', button: 0 }, { type: 'pointerUp', button: 0 }];
    await this.bidi.send('input.performActions', { context: this.id, actions: [{ type: 'pointer', id: 'mouse', actions }] });
  }

  /** The next window that this context's pages open. */
  waitForEvent() {
    return new Promise((done, failed) => {
      setTimeout(() => failed(new Error('no window was opened')), PATIENCE).unref();
      const listener = ({ method, params }) => {
        if (method !== 'browsingContext.contextCreated' || params.originalOpener !== this.id) return;
        this.bidi.listeners.delete(listener);
        done(new Page(this.bidi, params.context));
      };
      this.bidi.listeners.add(listener);
    });
  }

  bringToFront() {
    return this.bidi.send('browsingContext.activate', { context: this.id });
  }

  close() {
    return this.bidi.send('browsingContext.close', { context: this.id });
  }
}

/** Starts it. One person a context, as with Playwright. */
export async function launchFirefox() {
  const profile = mkdtempSync(join(tmpdir(), 'alter-e2e-firefox-'));
  // What a person's Firefox does too: popups after a click. Nothing else is changed.
  writeFileSync(join(profile, 'user.js'), 'user_pref("datareporting.policy.dataSubmissionEnabled", false);\n');
  const path = process.env.ALTER_FIREFOX || '/usr/bin/firefox';
  const child = spawn(path, ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const url = await new Promise((done, failed) => {
    let text = '';
    child.once('exit', () => failed(new Error(`Firefox ended: ${text}`)));
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
      const listening = /WebDriver BiDi listening on (ws:\S+)/.exec(text);
      if (listening) done(listening[1]);
    });
  });
  const bidi = await connect(url);
  const { capabilities } = await bidi.send('session.new', { capabilities: {} });
  await bidi.send('session.subscribe', { events: ['browsingContext.contextCreated'] });
  return {
    version: () => capabilities.browserVersion,
    async newContext() {
      const { userContext } = await bidi.send('browser.createUserContext', {});
      return {
        async newPage() {
          const { context } = await bidi.send('browsingContext.create', { type: 'tab', userContext });
          return new Page(bidi, context);
        },
        close: () => bidi.send('browser.removeUserContext', { userContext }),
      };
    },
    async close() {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill();
      setTimeout(() => child.kill('SIGKILL'), 3000).unref();
      await ended;
      rmSync(profile, { recursive: true, force: true, maxRetries: 20 });
    },
  };
}
