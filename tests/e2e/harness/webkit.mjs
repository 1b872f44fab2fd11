// WebKitGTK's MiniBrowser over classic WebDriver. A driver serves one session, and a session has one set of cookies, so that
// each person has a driver and a browser of their own; and a screen (Xvfb), since the browser has no headless mode and only
// one window of a screen has the focus.
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start } from './child.mjs';
import { freePort, request } from './net.mjs';
import { PATIENCE, RemotePage, patiently } from './remote.mjs';

/** Debian keeps the browser in a folder of its machine's name and the library's version. */
function miniBrowser() {
  const found = readdirSync('/usr/lib').flatMap((folder) => ['4.1', '4.0'].map((v) => `/usr/lib/${folder}/webkit2gtk-${v}/MiniBrowser`));
  const path = process.env.ALTER_WEBKIT || found.find(existsSync);
  if (!path) throw new Error('MiniBrowser of WebKitGTK is not there: run scripts/setup-tests, or set ALTER_WEBKIT');
  return path;
}

async function startScreen() {
  const child = start('Xvfb', ['-displayfd', '3', '-screen', '0', '800x1024x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
  const ended = new Promise((done) => child.once('exit', done));
  const number = await new Promise((done, failed) => {
    child.once('error', failed);
    child.once('exit', () => failed(new Error('Xvfb ended')));
    child.stdio[3].once('data', (line) => done(String(line).trim()));
  });
  return { name: `:${number}`, end: () => child.kill() && ended };
}

/** A driver with its session: `send(method, path, body)` returns the value of the answer. */
async function session(flags) {
  const screen = await startScreen();
  const home = mkdtempSync(join(tmpdir(), 'alter-e2e-webkit-'));
  const port = await freePort();
  // Nobody looks at what is painted, which without a graphics card costs a fifth of the processor's time.
  const env = { ...process.env, HOME: home, DISPLAY: screen.name, WEBKIT_DISABLE_COMPOSITING_MODE: '1' };
  const child = start('WebKitWebDriver', [`--port=${port}`], { stdio: 'ignore', env });
  const send = async (method, path, body, limit = PATIENCE) => {
    const answer = request(`http://127.0.0.1:${port}${path}`, { method, body: body ? JSON.stringify(body) : '', headers: { 'Content-Type': 'application/json' } });
    let timer;
    const late = new Promise((_, failed) => { timer = setTimeout(() => failed(new Error(`${method} ${path}: no answer`)), limit); });
    const { value } = JSON.parse((await Promise.race([answer, late]).finally(() => clearTimeout(timer))).body);
    if (value?.error) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  };
  await patiently(() => send('GET', '/status'), 'WebKitWebDriver listens');
  const { sessionId, capabilities } = await send('POST', '/session', { capabilities: { alwaysMatch: {
    acceptInsecureCerts: true,
    // Else a command waits for a page that loads, which may be what the test is about.
    pageLoadStrategy: 'none',
    'webkitgtk:browserOptions': { binary: miniBrowser(), args: ['--automation', ...flags] },
  } } });
  return {
    version: capabilities.browserVersion,
    send: (method, path, body, limit) => send(method, `/session/${sessionId}${path}`, body, limit),
    /** Ends both. A second call does nothing. */
    end: once(async () => {
      await send('DELETE', `/session/${sessionId}`).catch(() => {});
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGKILL');
      await ended;
      await screen.end();
      rmSync(home, { recursive: true, force: true, maxRetries: 20 });
    }),
  };
}

const once = (work) => {
  let done;
  return () => (done ??= work());
};

class Page extends RemotePage {
  constructor(owner, id, frame) {
    super();
    Object.assign(this, { owner, id, frame });
  }

  /** A command to this window. */
  send(method, path, body, limit) {
    return this.owner.within(this, method, path, body, limit);
  }

  async run(work, given, limit) {
    const script = `const [given, done] = arguments; (${work})(given).then((value) => done({ value }), (error) => done({ error: String(error) }))`;
    const { value, error } = await this.send('POST', '/execute/async', { script, args: [given] }, limit);
    if (error) throw new Error(error);
    return value;
  }

  /** A click of the pointer, which the browser trusts. It may close the window. */
  async press({ x, y }) {
    const actions = [{ type: 'pointerMove', x, y, origin: 'viewport' }, { type: 'pointerDown', button: 0 }, { type: 'pointerUp', button: 0 }];
    const pointer = { type: 'pointer', id: 'mouse', parameters: { pointerType: 'mouse' }, actions };
    await this.send('POST', '/actions', { actions: [pointer] }).catch(async (error) => {
      if (!(await this.isClosed())) throw error;
    });
  }

  navigate(url) {
    return this.send('POST', '/url', { url });
  }
  refresh() {
    return this.send('POST', '/refresh', {});
  }
  travel(delta) {
    return this.send('POST', delta < 0 ? '/back' : '/forward', {});
  }
  async isClosed() {
    return !(await this.owner.handles()).includes(this.id);
  }
  /** Without a window manager every window is in front. */
  async bringToFront() {}
  async close() {
    // With its last window the browser would end.
    if ((await this.owner.handles()).length === 1) await this.owner.newPage();
    await this.send('DELETE', '/window');
    this.owner.chosen = undefined;
  }
  /** The page's own frame, then those within it. */
  async frames() {
    const elements = await this.send('POST', '/elements', { using: 'css selector', value: 'iframe' });
    return [this, ...elements.map((element) => new Page(this.owner, this.id, element))];
  }
}

/** One person. */
class Context {
  faults = [];
  known = new Map();
  turn = Promise.resolve();

  constructor(session, device = {}) {
    Object.assign(this, { session, device });
  }

  /** Commands go to the window that was chosen last: one after the other, each with its choice unless it is chosen already. */
  #inTurn(work) {
    const mine = this.turn.then(work);
    this.turn = mine.catch(() => {});
    return mine;
  }
  within({ id, frame }, method, path, body, limit) {
    return this.#inTurn(async () => {
      const choice = id + JSON.stringify(frame);
      if (this.chosen !== choice) {
        this.chosen = undefined;
        await this.session.send('POST', '/window', { handle: id });
        await this.session.send('POST', '/frame', { id: frame ?? null });
        this.chosen = choice;
      }
      try {
        return await this.session.send(method, path, body, limit);
      } catch (error) {
        this.chosen = undefined;
        throw error;
      }
    });
  }
  handles() {
    return this.#inTurn(() => this.session.send('GET', '/window/handles')).catch(() => []);
  }

  #page(id) {
    if (!this.known.has(id)) this.known.set(id, new Page(this, id));
    return this.known.get(id);
  }
  /** The next window that is new. Which page opened it, classic WebDriver does not say. */
  async opened() {
    const before = await this.handles();
    const find = async () => (await this.handles()).find((id) => !before.includes(id));
    return this.#page(await patiently(find, 'a window opens'));
  }
  waitForEvent() {
    return this.opened();
  }
  /** A dialog fails the next command. Of other events classic WebDriver does not tell. */
  on(event) {
    if (event !== 'dialog') throw new Error(`no ${event} events in WebKitGTK`);
  }

  async newPage() {
    const page = this.#page(this.known.size ? await this.#another() : (await this.handles())[0]);
    const { viewport, userAgent } = this.device;
    if (userAgent) await page.send('POST', '/window/rect', { x: 0, y: 0, ...viewport });
    return page;
  }
  #another() {
    return this.#inTurn(async () => {
      // It is opened from the chosen window, which may have closed by itself.
      const [living] = await this.session.send('GET', '/window/handles');
      await this.session.send('POST', '/window', { handle: living });
      this.chosen = undefined;
      return (await this.session.send('POST', '/window/new', { type: 'window' })).handle;
    });
  }
  pages() {
    return this.handles();
  }

  /** Of the hosts that its windows show: classic WebDriver knows no others. */
  async cookies() {
    const all = await Promise.all((await this.handles()).map((id) => this.within({ id }, 'GET', '/cookie').catch(() => [])));
    return [...new Map(all.flat().map(({ expiry, ...cookie }) => [`${cookie.domain} ${cookie.name}`, { ...cookie, expires: expiry ?? -1 }])).values()];
  }

  close() {
    return this.session.end();
  }
}

/** Starts the first person's browser, which tells the version. */
export async function launchWebKit(flags = []) {
  const people = [await session(flags)];
  const [{ version }] = people;
  let spare = people[0];
  return {
    version: () => version,
    /** A user with another device than this machine has a browser that says so. */
    async newContext({ userAgent, viewport } = {}) {
      const own = userAgent ? [`--user-agent=${userAgent}`] : [];
      const mine = (!userAgent && spare) || (await session([...flags, ...own]));
      if (mine === spare) spare = undefined;
      else people.push(mine);
      return new Context(mine, { userAgent, viewport });
    },
    close: () => Promise.all(people.map((person) => person.end())),
  };
}
