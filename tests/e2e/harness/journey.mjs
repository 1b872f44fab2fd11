// The steps that people take, as tests name them: open, approve, log in, allow, deny.
import { at, clickConnect, until } from './browser.mjs';

/** Opens the app's page in one of its variants. */
export async function visit(context, site, query = '') {
  const page = await context.newPage();
  await page.goto(`${site.origin}/${query}`);
  return page;
}

/** From the app's button to our consent page. */
export const toConsent = async (page) => at(await clickConnect(page), 'consent');

/**
 * Closes the window as a person does: after having seen the page. In a page's first moments Chromium does not know yet
 * that the page listens for its own end, and closes it silently; the server then waits 45 s instead of 2.5.
 */
export async function closeByHand(popup) {
  await popup.locator('[data-do="approve"]:not([aria-disabled="true"])').waitFor();
  await popup.close();
}

/**
 * Approves on our consent page, and returns the window that is at the provider: the popup, or with client 0.8.0 a window of
 * its own beside it.
 */
export async function approve(popup) {
  if (await popup.locator('body[data-hub]').count()) {
    const [child] = await Promise.all([popup.waitForEvent('popup'), popup.click('[data-do="approve"]')]);
    return child;
  }
  await popup.click('[data-do="approve"]');
  await popup.locator('body:not([data-page])').waitFor({ state: 'attached' });
  return popup;
}

/** From the app's button to the raw provider's page. */
export async function toRaw(page) {
  const popup = await approve(await toConsent(page));
  await popup.locator('h1:text("Raw provider")').waitFor();
  return popup;
}

/** Allows at the raw provider, as one of its users. */
export const allowAs = (popup, user = 'alice') => leave(popup, `#${user}`);

/** Refuses, or makes the raw provider fail: `access_denied`, `temporarily_unavailable`. */
export const answerWith = (popup, error) => leave(popup, `#${error}`);

/** The OpenID provider's own two pages. */
export async function logIn(popup, user = 'carol') {
  await popup.fill('input[name="login"]', user);
  await popup.fill('input[name="password"]', 'anything');
  await leave(popup, 'button[type="submit"]');
}
export async function consentAtOidc(popup) {
  // The page before it has such a button too.
  await popup.locator('input[name="prompt"][value="consent"]').waitFor({ state: 'attached' });
  await leave(popup, 'button[type="submit"]');
}
export const abortAtOidc = (popup) => leave(popup, 'a[href$="/abort"]');

/**
 * Back at the app, by our last page: it goes there by itself (then it may be gone before its button is pressed), or by its
 * button where there is something to read. `home` is on the app's page.
 */
export async function backTo(page, home) {
  const button = page.locator('html:not(:has(meta[http-equiv="refresh"])) a.go');
  // A page that just goes away cannot be asked.
  const there = (locator) => locator.count().catch(() => 0);
  await until(async () => (await there(button)) || (await there(page.locator(home))));
  if (await there(button)) await button.click();
  await page.locator(home).waitFor({ state: 'attached' });
}

/** A click after which the popup may be gone before the click is reported as done. */
async function leave(popup, selector) {
  await popup.click(selector, { noWaitAfter: true }).catch(async (error) => {
    if (!(await popup.isClosed())) throw error;
  });
}
