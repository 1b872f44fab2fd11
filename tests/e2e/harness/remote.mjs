// Pages of the browsers that Playwright does not drive here: the methods of Playwright's that the tests use, over what an
// engine's driver gives (`run` a function in the page, `press` at a point, `navigate`, `isClosed`, ...). What the tests
// await may be a promise here and a plain value in Playwright, so tests write `await page.url()`.
export const PATIENCE = 200_000;
/** How long a question to a page may stay without an answer, as when another page comes just then. It is asked again. */
export const AGAIN = 5_000;
export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Asks until `what()` returns something. A page that just goes away cannot be asked: its error counts as "not yet". */
export async function patiently(what, why, page) {
  let last;
  for (const end = Date.now() + PATIENCE; Date.now() < end; await pause(40)) {
    try {
      const found = await what();
      if (found) return found;
    } catch (error) {
      last = error;
      if (await page?.isClosed()) throw new Error(`${why}: the page was closed`);
    }
  }
  throw new Error(`${why}: not within ${PATIENCE} ms${last ? ` (${last.message})` : ''}`);
}

/**
 * Runs in the page. Looks at what `selector` matches: CSS, or CSS with `:text("...")` or `:has-text("...")` behind it.
 * Returns how many there are, and of the first: whether it can be seen, what it says, where a click would hit it (`point`).
 */
function probe({ selector, name, aim }) {
  const squash = (words) => words.replace(/\s+/g, ' ').trim();
  const matches = selector.split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/).flatMap((part) => {
    const [, css, words] = /^(.*?)(?::(?:has-)?text\("(.*)"\))?$/s.exec(part.trim());
    const wanted = (element) => words === undefined || squash(element.textContent).toLowerCase().includes(words.toLowerCase());
    return [...document.querySelectorAll(css)].filter(wanted);
  });
  const [first] = matches;
  if (!first) return { count: 0 };
  let box = first.getBoundingClientRect();
  const visible = box.width > 0 && box.height > 0 && getComputedStyle(first).visibility === 'visible';
  if (box.top < 0 || box.left < 0 || box.bottom > innerHeight || box.right > innerWidth) {
    first.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
    box = first.getBoundingClientRect();
  }
  const { x, y, width, height } = box;
  const point = { x: Math.floor(x + width / 2), y: Math.floor(y + height / 2) };
  const hit = document.elementFromPoint(point.x, point.y);
  const able = visible && !first.matches(':disabled, [aria-disabled="true"]') && first.contains(hit);
  if (able && aim) {
    window.aimed = aim;
    first.addEventListener('click', () => { window.struck = aim; }, { capture: true, once: true });
  }
  return {
    count: matches.length,
    visible,
    box: { x, y, width, height },
    point: able ? point : null,
    // A frame has the focus only after a click into it.
    focused: window !== top || document.hasFocus(),
    text: first.textContent,
    attribute: name ? first.getAttribute(name) : null,
  };
}

function fill({ selector, value }) {
  const field = document.querySelector(selector);
  field.focus();
  field.value = value;
  field.dispatchEvent(new Event('input', { bubbles: true }));
}

class Locator {
  constructor(page, selector) {
    Object.assign(this, { page, selector });
  }

  look(more) {
    return this.page.evaluate(probe, { selector: this.selector, ...more }, AGAIN);
  }

  #when(found, why, more) {
    return patiently(async () => {
      const seen = await this.look(more);
      return found(seen) ? seen : undefined;
    }, `${this.selector} ${why}`, this.page);
  }

  waitFor({ state = 'visible' } = {}) {
    return this.#when((seen) => (state === 'visible' ? seen.visible : seen.count > 0), state);
  }

  /**
   * Clicks once the element can be clicked, has stopped moving, and its window is in front, as for a person. A window that
   * does not come to the front when it is told to is clicked all the same. A page whose layout changes just then is missed,
   * and is aimed at again.
   */
  async click() {
    for (let aim = Math.random(); ; aim = Math.random()) {
      await this.#press(aim);
      if (!(await this.#missed(aim))) return;
    }
  }

  /** Whether the page is the one that was aimed at, and still has not had the click after a second. */
  async #missed(aim) {
    for (const end = Date.now() + 1000; Date.now() < end; await pause(40)) {
      const { aimed, struck } = await this.page.evaluate(() => ({ aimed: window.aimed, struck: window.struck }), undefined, AGAIN).catch(() => ({}));
      if (aimed !== aim || struck === aim) return false;
    }
    return true;
  }

  async #press(aim) {
    let last = '';
    let behind = 0;
    const { point } = await this.#when(({ point, focused }) => {
      if (point && !focused && (behind += 1) % 10 === 1) this.page.bringToFront();
      const now = point && (focused || behind > 30) ? JSON.stringify(point) : '';
      const still = now && now === last;
      last = now;
      return still;
    }, 'can be clicked', { aim });
    await this.page.press(point);
  }

  first() {
    return this;
  }
  count = async () => (await this.look()).count;
  isVisible = async () => !!(await this.look()).visible;
  textContent = async () => (await this.#when((seen) => seen.count, 'is there')).text;
  boundingBox = async () => (await this.#when((seen) => seen.count, 'is there')).box;
  async getAttribute(name) {
    await this.#when((seen) => seen.count, 'is there');
    return (await this.look({ name })).attribute;
  }
}

/** What both drivers share. A driver adds run, press, isClosed, bringToFront, close, and navigate, refresh
 * and travel, which do not wait: what a driver takes for the end of a load may be the end of a frame's. */
export class RemotePage {
  mouse = { click: (x, y) => this.press({ x: Math.floor(x), y: Math.floor(y) }) };

  locator(selector) {
    return new Locator(this, selector);
  }

  /** The page's only frame. */
  frameLocator() {
    const frame = async () => (await this.frames())[1];
    const inside = {
      evaluate: async (...call) => (await frame()).evaluate(...call),
      press: async (point) => (await frame()).press(point),
      isClosed: () => this.isClosed(),
    };
    return { locator: (selector) => new Locator(inside, selector) };
  }

  /** Calls a function of ours in the page. Argument and value travel as JSON. */
  async evaluate(work, argument, limit = PATIENCE) {
    const given = argument === undefined ? 'undefined' : JSON.stringify(argument);
    const said = await this.run(`async (given) => JSON.stringify(await (${work})(given === 'undefined' ? undefined : JSON.parse(given)))`, given, limit);
    return said === undefined || said === null ? undefined : JSON.parse(said);
  }

  click(selector) {
    return this.locator(selector).click();
  }
  textContent(selector) {
    return this.locator(selector).textContent();
  }
  getAttribute(selector, name) {
    return this.locator(selector).getAttribute(name);
  }
  content() {
    return this.evaluate(() => document.documentElement.outerHTML);
  }
  async fill(selector, value) {
    await this.locator(selector).waitFor();
    await this.evaluate(fill, { selector, value });
  }
  /** The browser's own note of the address may be older than the page, or that of a page which is still to come. */
  url() {
    return this.evaluate(() => window.location.href);
  }
  async waitForURL(wanted) {
    const isThere = typeof wanted === 'function' ? wanted : (url) => url.href === wanted;
    await patiently(async () => isThere(new URL(await this.url())), `at ${wanted}`, this);
  }
  async waitForLoadState() {
    await patiently(() => this.evaluate(() => document.readyState === 'complete'), 'loaded', this);
  }
  /** Leaves the document that is there by `go`, and waits until another one has a `state`: perhaps one that was left before. */
  async leave(go, why, state = ['complete']) {
    const mark = Math.random();
    await this.evaluate((left) => { window.left = left; }, mark);
    await go();
    const arrived = (given) => window.left !== given.mark && given.state.includes(document.readyState);
    await patiently(() => this.evaluate(arrived, { mark, state }, AGAIN), why, this);
  }
  goto(url) {
    return this.leave(() => this.navigate(url), url);
  }
  reload({ waitUntil } = {}) {
    return this.leave(() => this.refresh(), 'reloaded', waitUntil === 'domcontentloaded' ? ['interactive', 'complete'] : undefined);
  }
  goBack() {
    return this.leave(() => this.travel(-1), 'back');
  }
  goForward() {
    return this.leave(() => this.travel(1), 'forward');
  }
  context() {
    return this.owner;
  }
  /** `popup`: the next window that this page opens. `close`: the end of this one. */
  waitForEvent(event) {
    if (event === 'popup') return this.owner.opened(this);
    return patiently(() => this.isClosed(), 'closed');
  }
}
