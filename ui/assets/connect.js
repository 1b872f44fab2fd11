// The only script of the Connect pages. The server renders every page and decides every step; this script
// carries clicks to the server, waits for it, and speaks to the app's page where only a browser can.
// It runs under `default-src 'none'; script-src 'self'; require-trusted-types-for 'script'`: text is only
// ever set as text, and nothing here evaluates or builds markup.
(() => {
  'use strict';

  const body = document.body;
  const data = body.dataset;
  const app = data.app || 'your app';
  // At the end of a redirect flow this is the app's own window: it goes back, and is never closed.
  const popup = !('back' in data);

  // ---- words ---------------------------------------------------------------------------------------
  const WORDS = {
    opening: (name) => `Opening ${name}…`,
    checking: `Checking with ${app}…`,
    again: 'Press once more.',
    there: (name) => `Go on in the window of ${name}. If it is closed, press again.`,
    finishing: 'Finishing…',
    cancelling: 'Cancelling…',
    working: 'One moment…',
    slow: (name) => `${name} is taking longer than usual. Please keep this window open.`,
    offline: 'The server cannot be reached. Check your connection and try again.',
    unknown: 'That did not work. Please try again.',
    reference: (id) => ` (Reference: ${id})`,
    found: (n) => (n === 1 ? '1 service found' : `${n} services found`),
    none: (q) => `No service matches “${q}”.`,
    stuck: 'This page could not be opened',
    openFrom: (name) => `Open this page from ${name}`,
    elsewhere: (page, allowed) => `You came from ${page}. It works only from ${allowed}: press the connect button there.`,
    copied: 'Copied.',
    copyIt: 'Select the address and copy it.',
    stays: 'Your browser leaves closing this window to you.',
  };

  // ---- small tools ---------------------------------------------------------------------------------
  const byId = (id) => document.getElementById(id);
  const text = (id, words) => {
    const node = byId(id);
    if (node && node.textContent !== words) node.textContent = words;
  };
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  // POSTs JSON to our own server. Resolves to {status, body}; status 0 means that no answer came.
  const post = async (path, payload, keepalive) => {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), 30000);
    try {
      const answer = await fetch(path, {
        method: 'POST',
        // Not `mode: 'same-origin'`: outside CORS mode (the default), `Referrer-Policy: no-referrer` turns the Origin
        // header into `null` (Fetch standard, "append a request Origin header"), and the server demands our exact origin.
        credentials: 'same-origin',
        cache: 'no-store',
        redirect: 'error',
        keepalive: !!keepalive,
        signal: keepalive ? undefined : abort.signal,
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(payload),
      });
      const json = await answer.json().catch(() => null);
      return { status: answer.status, body: json && typeof json === 'object' ? json : {} };
    } catch (_) {
      return { status: 0, body: {} };
    } finally {
      clearTimeout(timer);
    }
  };

  const ok = (answer) => answer.status >= 200 && answer.status < 300;

  // The sentence for a person: the server's own with its request id, or one that says it is out of reach.
  const sentence = ({ status, body: b }) => {
    if (!status) return WORDS.offline;
    const id = b.request_id || (b.details && b.details.request_id);
    const words = typeof b.message === 'string' && b.message ? b.message.slice(0, 300) : WORDS.unknown;
    return words + (typeof id === 'string' && id ? WORDS.reference(id.slice(0, 64)) : '');
  };

  // Follows an address from the server, but only http(s), in this window or another. Returns false if the address is unusable
  // or the window is gone.
  const go = (location_, how, where = window) => {
    let url;
    try {
      url = new URL(location_, location.href);
    } catch (_) {
      return false;
    }
    if (url.protocol !== 'https:' && url.protocol !== 'http:' || where.closed) return false;
    where.location[how](url.href);
    return true;
  };

  // ---- 1. the shell: a token arrives in the fragment ------------------------------------------------
  // Reads the fragment and clears it before anything else happens: after this line the token is in no
  // URL, no history entry and no referrer, only in this closure and in the bodies of our POSTs.
  const takeFragment = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    history.replaceState(null, '', location.pathname);
    return { token: given.get('session'), cb: given.get('cb'), mode: given.get('m') };
  };

  const notice = (name) => location.replace(`/connect/notice/${name}`);

  // Which notice the page shows for which refusal. Nothing about the session goes into the URL.
  const noticeFor = ({ body: b }) => {
    if (b.error === 'invalid_token') return 'invalid';
    const reason = b.details && b.details.reason;
    if (b.error === 'binding_failed') return reason === 'used_window' ? reason : 'open';
    if (b.error !== 'session_expired') return null;
    return reason === 'used' || reason === 'other_browser' ? reason : 'expired';
  };

  // Door B: asks the page that opened us for the secret behind `cb`. It asks only the session's origin, and only
  // an answer from that origin AND that very window AND for this flow counts. Resolves to null after 3 s.
  const askOpener = (origin, cb) =>
    new Promise((resolve) => {
      const opener_ = window.opener;
      if (!opener_ || !origin) return resolve(null);
      const settle = (v) => {
        clearTimeout(timer);
        removeEventListener('message', hear);
        resolve(v);
      };
      const hear = (event) => {
        const said = event.data;
        if (event.origin !== origin || event.source !== opener_ || !said) return;
        if (said.alter === 'proof' && said.id === cb && typeof said.v === 'string') settle(said.v);
      };
      const timer = setTimeout(settle, 3000, null);
      addEventListener('message', hear);
      opener_.postMessage({ alter: 'hello', id: cb }, origin);
    });

  // Client 0.8.0 learns how a flow ended only from a message to its opener. The message goes to exactly the session's
  // origin, never to '*'; without a proper origin it is not sent at all.
  const tellOpener = (message, origin) => {
    try {
      if (window.opener && new URL(origin).origin === origin) window.opener.postMessage(message, origin);
    } catch (_) {
      // the app's window is gone: the page's own words remain
    }
  };

  const marks = () => ({
    opener: !!window.opener,
    name: window.name,
    referrer: document.referrer,
    site: data.site || '',
    // More than 1: the window had shown other pages before it was led here.
    history: history.length,
  });

  // Both origins, if the page that opened us is not at the session's and its referrer policy lets us know where it is.
  const otherOrigin = (allowed_origin) => {
    const page_origin = window.opener && document.referrer && new URL(document.referrer).origin;
    return allowed_origin && page_origin && page_origin !== allowed_origin ? { page_origin, allowed_origin } : {};
  };

  const claim = async ({ token, cb, mode }) => {
    const peek = await post('/connect/api/peek', { token });
    // With the whole page here, only the claim's refusal names the way back.
    const whole = cb ? mode === 'r' : !window.opener;
    if (!ok(peek) && !(whole && peek.status === 410)) return peek;
    const payload = { token };
    if (cb) {
      payload.cb = cb;
      payload.m = mode === 'r' ? 'r' : 'p';
      // a redirect has no opener to ask: its proof comes at the end, with the result code
      if (payload.m === 'p') {
        payload.v = await askOpener(peek.body.allowed_origin, cb);
        const details = otherOrigin(peek.body.allowed_origin);
        if (!payload.v) return { status: 403, body: { error: 'binding_failed', details }, app: peek.body.app_name };
      }
    }
    if (!payload.v) payload.marks = marks();
    const answer = await post('/connect/api/claim', payload);
    // Client 0.8.0 then closes the window, and the next click opens a new one.
    if (noticeFor(answer) === 'used_window') {
      const { error, message } = answer.body;
      tellOpener({ type: 'alter_connect_error', error, error_description: message }, peek.body.allowed_origin);
    }
    return { ...answer, app: peek.body.app_name };
  };

  const headline = (words) => {
    text('title', words);
    document.title = `${words} · Alter Connect`;
  };

  const shell = () => {
    const given = takeFragment();
    if (!given.token) return notice('open');
    const retry = byId('retry');
    const busy = byId('busy');
    const back = byId('back');
    const attempt = async () => {
      retry.hidden = true;
      busy.hidden = false;
      text('oops', '');
      const answer = await claim(given);
      if (ok(answer) && go(answer.body.location, 'replace')) return;
      busy.hidden = true;
      const { page_origin: page, allowed_origin: allowed, back: way } = answer.body.details || {};
      if (way && /^https?:/.test(way)) {
        headline(WORDS.stuck);
        text('say', answer.body.message);
        back.href = way;
        back.hidden = false;
        return;
      }
      if (page) {
        headline(WORDS.openFrom(answer.app));
        byId('leave').hidden = false;
        return text('say', WORDS.elsewhere(page, allowed));
      }
      const name = noticeFor(answer);
      if (name) return notice(name);
      headline(WORDS.stuck);
      text('say', '');
      text('oops', sentence(answer));
      retry.hidden = false;
    };
    retry.addEventListener('click', attempt);
    // a second link pasted over this one changes only the fragment: start over with the new one
    addEventListener('hashchange', () => location.reload());
    attempt();
  };

  // ---- 2. every page of a flow: presence ------------------------------------------------------------
  const api = (verb) => `/connect/api/s/${encodeURIComponent(data.sid)}/${verb}`;
  const reload = () => location.replace(location.pathname);

  const presence = () => {
    // `?c=` is the server's one-time marker ("was the cookie kept?"); a bookmark must not carry it on
    const here = new URLSearchParams(location.search).has('here') ? '?here=1' : '';
    if (location.search !== here) history.replaceState(null, '', location.pathname + here);
    const instance = Number(data.instance);
    const seen = () => post(api('seen'), { instance });
    seen();
    // A sign of life: if COOP makes this window look closed, silence would be taken for a crash.
    setInterval(seen, 15000);
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && seen());
    addEventListener('pageshow', (event) => {
      // a page from the back-forward cache shows an old state: ask for the current one
      if (event.persisted) location.reload();
    });
    addEventListener('pagehide', () => {
      if (!CSS.supports('-moz-appearance', 'none')) return post(api('bye'), { instance }, true);
      // Firefox drops a fetch together with its page before 133, and on a busy machine later, but not a beacon. Its body must
      // not be text: as JSON it goes in CORS mode, and only there does `Referrer-Policy: no-referrer` leave our Origin in the
      // request.
      navigator.sendBeacon(api('bye'), new Blob([JSON.stringify({ instance })], { type: 'application/json' }));
    });
  };

  // ---- 3. choices: one click, one POST, one answer {location} -----------------------------------------
  const buttons = () => Array.from(document.querySelectorAll('[data-do]'));
  let busyButton = null;

  const setBusy = (button) => {
    busyButton = button;
    for (const b of buttons()) {
      if (b === button) b.setAttribute('aria-busy', 'true');
      else b.removeAttribute('aria-busy');
      b.classList.toggle('off', !!button && b !== button);
      if (button) b.setAttribute('aria-disabled', 'true');
      else b.removeAttribute('aria-disabled');
    }
  };

  const wordsFor = (button) => {
    const { do: verb, name } = button.dataset;
    if (verb === 'cancel') return WORDS.cancelling;
    if (verb === 'finish') return WORDS.finishing;
    return name ? WORDS.opening(name) : WORDS.working;
  };

  // Client 0.8.0 hears of the end from this very window, so that this window stays where it is, and the provider gets one of
  // its own: a policy of the provider's (COOP) cuts off that one alone, and a hostile page there reaches nothing of the
  // app's. Must be called inside the click. Returns null where windows are blocked: then the provider comes here.
  const hub = 'hub' in data;
  const openProvider = () => {
    const child = window.open('about:blank', '_blank', 'popup,width=500,height=700');
    if (child) child.opener = null;
    return child;
  };

  // What the provider's window has done, only the server knows: how that window looks from here says nothing.
  let following = false;
  const follow = async (name) => {
    setBusy(null);
    text('say', WORDS.there(name));
    if (following) return;
    following = true;
    for (;;) {
      await pause(700);
      const answer = await post(api('state'), {});
      if (ok(answer) && answer.body.page !== data.page) return reload();
      if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) return reload();
    }
  };

  const act = async (button) => {
    if (busyButton) return;
    // `shown` names what this page says will be asked for: the server refuses when that has changed since
    const { do: verb, provider, shown, name } = button.dataset;
    const given = { provider, shown }; // what a button does not have is not sent
    const child = hub && verb === 'approve' ? openProvider() : null;
    setBusy(button);
    text('oops', '');
    text('say', wordsFor(button));
    let answer = await post(api(verb), given);
    // The server itself gives up on a silent app after 10 s; the count only guards against a loop.
    for (let n = 0; n < 60 && answer.status === 409 && answer.body.error === 'waiting_for_app'; n += 1) {
      text('say', WORDS.checking);
      await pause(500);
      answer = await post(api(verb), given);
    }
    if (ok(answer) && go(answer.body.location, child ? 'replace' : 'assign', child || window)) return child && follow(name);
    if (child) child.close();
    // 409 and 410: the flow has moved on without this page; the server knows where
    if (answer.status === 409 || answer.status === 410) return reload();
    setBusy(null);
    text('say', '');
    text('oops', sentence(answer));
    // In a very low window the bar does not stick.
    const oops = byId('oops');
    if (oops.getBoundingClientRect().bottom > innerHeight) oops.scrollIntoView({ block: 'nearest' });
  };

  // A click that was aimed at something else must not approve anything (a double click in a page that uncovers
  // this one). So the guarded button works only half a second after the page was last uncovered. Until then it is
  // `aria-disabled` and not `disabled`, so that it keeps its place in the tab order, and looks no different: a window
  // that had no focus gets it by the very click, which then says what to do.
  const guard = (button) => {
    let timer = 0;
    const sleep = () => {
      clearTimeout(timer);
      if (busyButton) return;
      button.setAttribute('aria-disabled', 'true');
      if (document.visibilityState === 'visible') timer = setTimeout(wake, 500);
    };
    const wake = () => {
      if (!busyButton) button.removeAttribute('aria-disabled');
    };
    addEventListener('focus', sleep);
    addEventListener('pageshow', sleep);
    document.addEventListener('visibilitychange', sleep);
    sleep();
  };

  const choices = () => {
    const guarded = document.querySelector('[data-guard]');
    if (guarded) guard(guarded);
    for (const button of buttons()) {
      button.addEventListener('click', (event) => {
        // `isTrusted` keeps out clicks made by scripts; `aria-disabled` is the guard above
        if (!event.isTrusted) return;
        if (button.getAttribute('aria-disabled') !== 'true') act(button);
        else if (!busyButton) text('say', WORDS.again);
      });
    }
  };

  // A plain form, so that it works without this script: here it gets the guard alone.
  const question = () => {
    const guarded = document.querySelector('[data-guard]');
    guard(guarded);
    guarded.addEventListener('click', (event) => {
      if (event.isTrusted && guarded.getAttribute('aria-disabled') !== 'true') return;
      event.preventDefault();
      if (event.isTrusted) text('say', WORDS.again);
    });
  };

  // The picker's search hides rows, never reorders them, and says how many are left.
  const search = () => {
    const field = byId('find');
    if (!field) return;
    const fold = (s) => s.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
    const rows = Array.from(document.querySelectorAll('#services > li')).map((li) => ({
      li,
      key: fold(`${li.firstElementChild.dataset.name} ${li.firstElementChild.dataset.provider}`),
    }));
    const filter = () => {
      const query = field.value.trim();
      const parts = fold(query).split(/\s+/);
      let n = 0;
      for (const { li, key } of rows) {
        li.hidden = !parts.every((part) => key.includes(part));
        if (!li.hidden) n += 1;
      }
      text('say', !query ? '' : n ? WORDS.found(n) : WORDS.none(query.slice(0, 60)));
    };
    field.addEventListener('input', filter);
    filter(); // a reload may have kept what was typed
  };

  // ---- 4. waiting --------------------------------------------------------------------------------------
  const wait = async () => {
    const began = Date.now();
    let failures = 0;
    for (;;) {
      await pause(failures ? Math.min(700 * 2 ** failures, 5000) : 700);
      const answer = await post(api('state'), {});
      if (ok(answer) && answer.body.page !== 'waiting') return reload();
      // the session is gone or no longer ours: the page itself says it best
      if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) return reload();
      failures = ok(answer) ? 0 : Math.min(failures + 1, 5);
      text('oops', failures > 2 ? WORDS.offline : '');
      if (Date.now() - began > 10000) text('say', WORDS.slow(data.name || app));
    }
  };

  // ---- 5. the end: tell a published client, then close ---------------------------------------------------
  const tellLegacyClient = () => {
    const { legacyMessage, legacyOrigin } = data;
    if (legacyMessage && legacyOrigin) tellOpener(JSON.parse(legacyMessage), legacyOrigin);
  };

  const end = async (closes) => {
    tellLegacyClient();
    if (!closes) return;
    if (data.legacyMessage) await pause(400); // so that the message is out before the window closes
    window.close();
  };

  // A browser lets a page close only a window that a script opened. Any other one stays, and the page says so.
  const leave = async () => {
    window.close();
    await pause(500);
    text('oops', WORDS.stays);
  };

  // A page in another app's browser may not write to the clipboard; the address is selected at a touch.
  const copy = async (event) => {
    const { copy: id } = event.currentTarget.dataset;
    try {
      await navigator.clipboard.writeText(byId(id).textContent.trim());
      text('say', WORDS.copied);
    } catch {
      text('say', WORDS.copyIt);
    }
  };

  // ---- which page is this? -----------------------------------------------------------------------------
  const PAGES = {
    shell,
    picker: () => {
      choices();
      search();
    },
    customer: choices,
    consent: choices,
    sign_in: choices,
    webview: choices,
    extra: question,
    waiting: wait,
    denied: () => {
      choices();
      end(false);
    },
    provider_error: () => {
      choices();
      end(false);
    },
    done: () => end(popup),
    cancelled: () => end(popup),
  };

  for (const button of document.querySelectorAll('[data-copy]')) button.addEventListener('click', copy);
  for (const button of document.querySelectorAll('[data-close]')) button.addEventListener('click', leave);
  // The provider's window of such a flow comes back to our pages too. Its part is over: the other one shows and tells the rest.
  if (hub && !window.opener) window.close();
  if (data.page !== 'shell' && data.sid) presence();
  const start = Object.prototype.hasOwnProperty.call(PAGES, data.page) && PAGES[data.page];
  if (start) start();
})();
