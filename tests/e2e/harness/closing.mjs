// A close that always ends. Chromium answers no close of a context that meets the commit of a navigation: a test that
// presses a button last then waits for ever (seen with playwright-core 1.65.1 on a busy machine). Such a context ends
// with its browser, and the browser with the test's process.
const PATIENCE = 5_000;

const bound = (what) => {
  const close = what.close.bind(what);
  what.close = async (...options) => {
    let timer;
    const patience = new Promise((done) => { timer = setTimeout(done, PATIENCE); });
    await Promise.race([close(...options).catch(() => {}), patience]);
    clearTimeout(timer);
  };
  return what;
};

/** Binds the closes of `browser` and of every context it makes. */
export const closing = (browser) => {
  const open = browser.newContext.bind(browser);
  browser.newContext = async (...options) => bound(await open(...options));
  return bound(browser);
};
