/**
 * A browser as small as the SDK's needs: a clock that only moves when told to, windows, one server.
 * The SDK under test is the committed UMD file, the bytes that ship.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import vm from "node:vm";

const umd = new vm.Script(readFileSync(new URL("../dist/alter-connect.umd.js", import.meta.url), "utf8"));

export const SERVER = "https://connect.example.com";
export const PAGE = "https://app.example.com";
export const TOKEN = "alter_cs_" + "A1b2C3d4".repeat(6) + "Z";
export const START = Date.parse("2026-03-01T12:00:00Z");

export const connection = (provider = "google") => ({
  grant_id: "grant-" + provider,
  provider,
  provider_name: provider,
  account_identifier: "ada@example.com",
  timestamp: "2026-03-01T12:00:05Z",
  operation: "creation",
  scopes: ["profile"],
  status: "active",
});

export const DESKTOP = {
  navigator: { userAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", maxTouchPoints: 0 },
  screen: { width: 1920, height: 1080 },
  innerWidth: 1900,
  innerHeight: 950,
};

export const PHONE = {
  navigator: { userAgent: "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36", maxTouchPoints: 5 },
  screen: { width: 412, height: 915 },
  innerWidth: 412,
  innerHeight: 785,
};

/** The server's answer while nothing has happened yet. */
export const stillOpen = (more = {}) => ({
  status: "open",
  cursor: 0,
  deadline: new Date(START + 600_000).toISOString(),
  events: [],
  ...more,
});

/**
 * A server that waits: a question with `wait` is answered when there is news, or when its time is over. `tell(more)` is news,
 * `events` in it come on top of those before.
 */
export function patientServer() {
  let now = stillOpen();
  let all = [];
  const held = new Set();
  const reply = ({ cursor }) => ({ ...now, cursor: all.length, events: all.slice(cursor) });
  return {
    held,
    answer: (body) =>
      !body.wait || now.status !== "open" || body.cursor < all.length
        ? reply(body)
        : new Promise((resolve) => held.add({ body, release: () => resolve(reply(body)) })),
    tell({ events = [], ...more }) {
      all = [...all, ...events];
      now = { ...now, ...more };
      this.release();
    },
    /** Answers everybody now. */
    release() {
      held.forEach(({ release }) => release());
      held.clear();
    },
  };
}

/** Lets every task run that waits only for its turn. */
const settleTasks = async () => {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
};

class Clock {
  now = START;
  #timers = new Map();
  #next = 1;

  set(callback, delay, args, repeat) {
    this.#timers.set(this.#next, { callback, args, at: this.now + delay, repeat: repeat && delay });
    return this.#next++;
  }

  clear(id) {
    this.#timers.delete(id);
  }

  get pending() {
    return this.#timers.size;
  }

  async advance(milliseconds) {
    const end = this.now + milliseconds;
    await settleTasks();
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [id, timer] = due;
      this.now = Math.max(this.now, timer.at);
      if (timer.repeat) timer.at += timer.repeat;
      else this.#timers.delete(id);
      timer.callback(...timer.args);
      await settleTasks();
    }
    this.now = end;
  }
}

/** Belongs to the window whose document it is put into. */
class Element {
  children = [];

  constructor(tag, window) {
    this.tag = tag;
    Object.defineProperty(this, "window", { value: window, writable: true });
  }

  appendChild(child) {
    child.window = this.window;
    child.inserted?.();
    this.children.push(child);
    return child;
  }

  submit() {
    this.window.submit(this);
  }
}

/** `form`: what becomes of a form: "allowed"; by the page's CSP "event", "throws" or "report-only"; in a sandbox "silence". */
class Popup {
  closed = false;
  focused = 0;
  closeCalls = 0;
  /** This many calls of close() get lost. */
  stubborn = 0;
  posts = [];
  urls = [];
  received = [];
  #foreign = false;
  #listeners = [];

  constructor(form) {
    this.form = form;
    const page = {
      head: new Element("head", this),
      body: new Element("body", this),
      addEventListener: (type, listener) => this.#listeners.push([type, listener]),
    };
    this.page = page;
    const go = (url) => {
      this.urls.push(url);
      this.#foreign = true;
    };
    this.location = {
      set href(url) {
        go(url);
      },
    };
  }

  get document() {
    if (this.#foreign) throw new Error("SecurityError");
    return this.page;
  }

  navigateAway() {
    this.#foreign = true;
  }

  violate(properties) {
    for (const [type, listener] of this.#listeners) if (type === "securitypolicyviolation") listener(properties);
  }

  submit(form) {
    if (this.form === "silence") return;
    if (this.form === "throws") throw new Error("NS_ERROR");
    if (this.form === "event") {
      setImmediate(() => this.violate({ effectiveDirective: "form-action", disposition: "enforce" }));
      return;
    }
    if (this.form === "report-only") {
      setImmediate(() => this.violate({ effectiveDirective: "form-action", disposition: "report" }));
    }
    const fields = Object.fromEntries(form.children.map(({ name, value }) => [name, value]));
    const { action, method, target } = form;
    this.posts.push({ action, method, target, fields });
    this.#foreign = true;
  }

  postMessage(data, targetOrigin) {
    this.received.push({ data, targetOrigin });
  }

  focus() {
    this.focused++;
  }

  close() {
    this.closeCalls++;
    if (this.stubborn-- <= 0) this.closed = true;
  }
}

/** Everything a test touches. `answer(body, n)` is the server: a body, a [status, body], or a throw. */
export function world({
  form = "allowed", blocked = false, answer = () => stillOpen(), script, secure = true, device = DESKTOP, url = PAGE + "/", kept = {}, framed = false,
} = {}) {
  const clock = new Clock();
  const popups = [];
  const requests = [];
  const listeners = new Map();
  const log = [];
  const calls = [];
  const thrown = [];

  class FakeDate extends Date {
    constructor(...args) {
      super(...(args.length ? args : [clock.now]));
    }
    static now = () => clock.now;
  }

  const location = new URL(url);
  const left = [];
  const frames = [];
  const urls = [];
  const head = new Element("head");
  const page = {
    Date: FakeDate,
    URL,
    URLSearchParams,
    btoa,
    AbortController,
    // An error in a job is the page's uncaught error.
    queueMicrotask: (job) => queueMicrotask(() => {
      try {
        job();
      } catch (error) {
        thrown.push(error.message);
      }
    }),
    console: { log: (...args) => log.push(args) },
    crypto: {
      getRandomValues: (array) => (array.set(randomBytes(array.length)), array),
      subtle: secure && { digest: async (_name, bytes) => new Uint8Array(createHash("sha256").update(bytes).digest()).buffer },
    },
    origin: PAGE,
    document: {
      currentScript: script === undefined ? null : { src: script },
      head,
      createElement: (tag) => {
        const element = new Element(tag);
        if (tag === "iframe")
          element.inserted = () => {
            element.contentWindow = new Popup(self.form);
            frames.push(element);
          };
        return element;
      },
    },
    location: {
      get search() {
        return location.search;
      },
      get href() {
        return location.href;
      },
      set href(to) {
        left.push(to);
      },
    },
    history: {
      state: { router: "of the app" },
      replaceState: (state, _title, to) => {
        urls.push([state, to]);
        location.href = to;
      },
    },
    ...device,
    setTimeout: (callback, delay, ...args) => clock.set(callback, delay, args, false),
    setInterval: (callback, delay, ...args) => clock.set(callback, delay, args, true),
    clearTimeout: (id) => clock.clear(id),
    clearInterval: (id) => clock.clear(id),
    addEventListener: (type, listener) => listeners.set(listener, type),
    removeEventListener: (_type, listener) => listeners.delete(listener),
    screenX: 100,
    screenY: 50,
    outerWidth: 1500,
    outerHeight: 900,
    open: (url, name, features) => {
      if (self.blocked) return null;
      const popup = Object.assign(new Popup(self.form), { opened: { url, name, features } });
      popups.push(popup);
      return popup;
    },
    fetch: async (url, init) => {
      const request = { url, ...init, body: JSON.parse(init.body), raw: init.body, at: clock.now };
      requests.push(request);
      const given = new Promise((resolve, reject) => {
        init.signal?.addEventListener("abort", () => reject(new Error("AbortError")));
        Promise.resolve().then(() => self.answer(request.body, requests.length)).then(resolve, reject);
      });
      const reply = await given;
      const [status, body] = Array.isArray(reply) ? reply : [200, reply];
      return { ok: status >= 200 && status < 300, status, json: async () => (typeof body === "string" ? JSON.parse(body) : body) };
    },
  };
  Object.defineProperty(page, "sessionStorage", {
    get() {
      if (kept) return kept;
      throw new Error("SecurityError");
    },
  });
  vm.createContext(page);
  page.self = vm.runInContext("globalThis", page);
  page.parent = framed ? {} : page.self;
  umd.runInContext(page);

  const self = {
    AlterConnect: page.AlterConnect,
    page,
    /** The page's own, which is not ours. */
    Error: vm.runInContext("Error", page),
    blocked,
    form,
    answer,
    clock,
    /** What the tab keeps, and where this page went or is by now. */
    kept,
    left,
    urls,
    frames,
    location,
    popups,
    requests,
    listeners,
    log,
    calls,
    thrown,
    /** The callbacks of a flow; each call is recorded, in order, with the flow's label. */
    callbacks: (label = "") => ({
      onSuccess: (...args) => calls.push([label + "success", ...args]),
      onError: (...args) => calls.push([label + "error", ...args]),
      onExit: (...args) => calls.push([label + "exit", ...args]),
    }),
    /** An instance with one flow under way. */
    async start(options = {}, config = { baseURL: SERVER }) {
      const alter = self.AlterConnect.create(config);
      const opened = alter.open({ token: TOKEN, ...self.callbacks(), ...options });
      opened.catch(() => {}); // the test looks at it later
      await clock.advance(0);
      return { alter, opened, popup: popups.at(-1) };
    },
    /** Something happens at the app's window. */
    happen: (type, event) => listeners.forEach((heard, listener) => heard === type && listener(event)),
    message: (event) => self.happen("message", event),
    statuses: () => requests.filter(({ body }) => !body.cancel),
    cancels: () => requests.filter(({ body }) => body.cancel),
    /** The kinds of callback so far. */
    kinds: () => calls.map(([kind]) => kind),
    error: () => plain(calls.find(([kind]) => kind.endsWith("error"))?.[1]),
  };
  return self;
}

/** The form that left this page, and the document around it. */
export const leaving = ({ frames }) => {
  const { contentWindow } = frames.at(-1);
  return { ...contentWindow.posts[0], head: contentWindow.page.head };
};

/** Numbers that look random and are the same in every run: a failure can be repeated. (mulberry32) */
export function seeded(seed) {
  const below = (n) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % n;
  };
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return {
    below,
    pick: (...choices) => choices[below(choices.length)],
    /** So many characters of base64url. */
    word: (length) => Array.from({ length }, () => letters[below(64)]).join(""),
  };
}

/** Objects made inside the page have its prototypes; deepEqual wants ours. */
export const plain = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

export async function rejection(promise) {
  try {
    await promise;
  } catch (error) {
    return plain(error);
  }
  return undefined;
}
