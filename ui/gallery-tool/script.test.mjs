// What the pages' script does, in a real browser, under the pages' real CSP, against a scripted server.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { APP, HEADERS, launch, manifest, ORIGIN, page as source, path, script, stage } from './stage.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const on = (name, run, api) =>
  async () => {
    const context = await browser.newContext({ reducedMotion: 'reduce' });
    try {
      const seen = await stage(context, name, api);
      const page = await context.newPage();
      await run({ page, seen, context });
      assert.deepEqual(seen.errors, [], 'no CSP violation and no error');
    } finally {
      await context.close();
    }
  };
const flow = (name) => ORIGIN + path(name);
const verbs = (seen) => seen.calls.map((c) => c.verb);
// Patience for a busy machine: how fast it is decides nothing.
const until = async (what) => {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((r) => setTimeout(r, 25))) if (await what()) return;
  assert.fail(`never: ${what}`);
};
// Stops the clock that the pages see: from here on only `page.clock.runFor` moves it.
const stopClock = async (page) => {
  await page.clock.install({ time: 0 });
  await page.clock.pauseAt(24 * 3600 * 1000);
};
// What the page has sent before now is in `calls` afterwards.
const sent = (page) => page.evaluate(() => fetch('/connect/api/fence', { method: 'POST', body: '{}' }).then((answer) => answer.text()));

// Who came with the whole page cannot close it, so the refusal names the way back.
for (const [fragment, peek] of [['session=T&cb=C&m=r', 200], ['session=T', 200], ['session=T&cb=C&m=r', 410]]) {
  test(`a_whole_page_that_is_refused_is_led_back_${fragment}_${peek}`, on('shell', async ({ page, seen }) => {
    await page.goto(`${ORIGIN}/sdk/oauth/connect#${fragment}`);
    const back = page.getByRole('link', { name: 'Back to your app' });
    await until(() => back.isVisible());
    assert.equal(await back.getAttribute('href'), `${APP}/connected?alter_connect_error=true`);
    assert.equal(await page.locator('#say').textContent(), 'Start again.');
    assert.ok(!seen.visited.some((path_) => path_.includes('notice')));
    const { body } = seen.calls.find(({ verb }) => verb === 'claim');
    assert.equal(body.v, undefined);
  }, (verb) => {
    if (verb === 'peek') return [peek, peek === 200 ? { allowed_origin: APP, app_name: 'Acme' } : { error: 'session_expired' }];
    const details = { back: `${APP}/connected?alter_connect_error=true` };
    if (verb === 'claim') return [peek === 200 ? 403 : 410, { error: 'binding_failed', message: 'Start again.', details }];
  }));
}

test('an_address_that_is_no_page_is_no_way_back', on('shell', async ({ page, seen }) => {
  await page.goto(`${ORIGIN}/sdk/oauth/connect#session=T`);
  await until(() => seen.visited.includes('/connect/notice/open'));
}, (verb) => {
  if (verb === 'peek') return [200, { allowed_origin: APP, app_name: 'Acme' }];
  if (verb === 'claim') return [403, { error: 'binding_failed', details: { back: 'javascript:alert(1)' } }];
}));

// ---- the shell -------------------------------------------------------------------------------------

test('t43_the_token_is_gone_from_the_url_and_history_before_any_request', on('shell', async ({ page, seen }) => {
  await page.goto(`${ORIGIN}/sdk/oauth/connect#session=alter_cs_CANARY`);
  await until(() => seen.visited.includes('/connect/s/abc'));
  assert.deepEqual(verbs(seen).slice(0, 2), ['peek', 'claim']);
  assert.equal(seen.urlAtPeek, `${ORIGIN}/sdk/oauth/connect`);
  assert.ok(!JSON.stringify(seen.visited).includes('CANARY'));
  for (const call of seen.calls) assert.ok(!(call.headers.referer ?? '').includes('CANARY'));
  await page.goBack().catch(() => {});
  assert.ok(!page.url().includes('CANARY'));
}, async (verb, body, seen) => {
  if (verb === 'peek') {
    const page = browser.contexts()[0].pages()[0];
    seen.urlAtPeek = page.url();
    assert.equal(body.token, 'alter_cs_CANARY');
    return [200, { allowed_origin: null, app_name: 'Acme' }];
  }
  if (verb === 'claim') {
    seen.name = 'consent';
    assert.equal(body.cb, undefined);
    assert.deepEqual(Object.keys(body.marks).sort(), ['history', 'name', 'opener', 'referrer', 'site']);
    return [200, { location: '/connect/s/abc' }];
  }
}));

test('without_a_fragment_the_page_says_to_open_it_from_the_app', on('shell', async ({ page, seen }) => {
  await page.goto(`${ORIGIN}/sdk/oauth/connect`);
  await until(() => seen.visited.includes('/connect/notice/open'));
  assert.deepEqual(verbs(seen), []);
}));

for (const [error, reason, name] of [
  ['invalid_token', undefined, 'invalid'],
  ['session_expired', 'expired', 'expired'],
  ['session_expired', 'used', 'used'],
  ['session_expired', 'other_browser', 'other_browser'],
  ['session_expired', '//evil.example', 'expired'],
  ['binding_failed', undefined, 'open'],
]) {
  test(`a_refusal_${error}_${reason ?? ''}_leads_to_the_notice_${name}`, on('shell', async ({ page, seen }) => {
    await page.goto(`${ORIGIN}/sdk/oauth/connect#session=T`);
    await until(() => seen.visited.includes(`/connect/notice/${name}`));
  }, (verb) => (verb === 'peek' ? [200, { allowed_origin: null }] : [403, { error, message: 'no', details: { reason } }])));
}

test('a_failure_of_ours_is_told_with_its_number_and_can_be_tried_again', on('shell', async ({ page, seen }) => {
  await page.goto(`${ORIGIN}/sdk/oauth/connect#session=T`);
  await page.getByRole('alert').filter({ hasText: 'Storage is away. (Reference: req_9)' }).waitFor();
  seen.well = true;
  await page.getByRole('button', { name: 'Try again' }).click();
  await until(() => seen.visited.includes('/connect/s/abc'));
}, (verb, _, seen) => {
  if (verb === 'peek') return [200, { allowed_origin: null }];
  return seen.well ? [200, { location: '/connect/s/abc' }] : [503, { error: 'server_error', message: 'Storage is away.', request_id: 'req_9' }];
}));

const openFromApp = async (page, context, answer, fragment = '#session=T&cb=CB&m=p') => {
  await page.goto(`${APP}/`);
  await page.evaluate(([answerSource, url]) => {
    window.heard = [];
    addEventListener('message', (event) => {
      window.heard.push({ origin: event.origin, data: event.data });
      // eslint-disable-next-line no-new-func
      new Function('event', answerSource)(event);
    });
    window.popup = open(url, '_blank');
  }, [answer, `${ORIGIN}/sdk/oauth/connect${fragment}`]);
};
const doorB = (verb, body, seen) => {
  if (verb === 'peek') return [200, { allowed_origin: seen.asked ?? APP, app_name: 'Acme', legacy: false }];
  if (verb === 'claim') return [200, { location: '/connect/s/abc' }];
};

test('door_b_asks_the_opener_and_claims_with_its_proof', on('shell', async ({ page, seen, context }) => {
  await openFromApp(page, context, "event.source.postMessage({alter:'proof', id:event.data.id, v:'V'}, event.origin)");
  await until(() => verbs(seen).includes('claim'));
  assert.deepEqual(await page.evaluate(() => window.heard), [{ origin: ORIGIN, data: { alter: 'hello', id: 'CB' } }]);
  assert.deepEqual(seen.calls.find((c) => c.verb === 'claim').body, { token: 'T', cb: 'CB', m: 'p', v: 'V' });
}, doorB));

test('t37b_a_proof_for_another_flow_is_no_proof', on('shell', async ({ page, seen, context }) => {
  await openFromApp(page, context, "event.source.postMessage({alter:'proof', id:'OTHER', v:'V'}, event.origin)");
  await until(() => seen.visited.includes('/connect/notice/open'));
  assert.ok(!verbs(seen).includes('claim'));
}, doorB));

test('t05_an_opener_of_another_origin_is_neither_asked_nor_believed', on('shell', async ({ page, seen, context }) => {
  seen.asked = 'https://other.example';
  await openFromApp(page, context, '');
  await page.evaluate(() => {
    setInterval(() => window.popup.postMessage({ alter: 'proof', id: 'CB', v: 'V' }, '*'), 50);
  });
  let popup;
  await until(() => (popup = context.pages().find((other) => other !== page)));
  await popup.getByRole('heading', { name: 'Open this page from Acme' }).waitFor();
  await popup.getByText(`You came from ${APP}. It works only from https://other.example: press`).waitFor();
  assert.equal(await popup.title(), 'Open this page from Acme · Alter Connect');
  await popup.getByRole('button', { name: 'Close this window' }).waitFor();
  assert.deepEqual(await page.evaluate(() => window.heard), []);
  assert.ok(!verbs(seen).includes('claim'));
  // the browser reports the refused postMessage on the console: this error is expected
  seen.errors = seen.errors.filter((e) => !/target origin provided/.test(e));
}, doorB));

test('door_b_without_an_opener_does_not_wait', on('shell', async ({ page, seen }) => {
  await stopClock(page);
  await page.goto(`${ORIGIN}/sdk/oauth/connect#session=T&cb=CB&m=p`);
  await until(() => seen.visited.includes('/connect/notice/open'));
  assert.ok(!verbs(seen).includes('claim'));
}, doorB));

test('a_redirect_claims_with_its_challenge_and_without_a_handshake', on('shell', async ({ page, seen }) => {
  await page.goto(`${ORIGIN}/sdk/oauth/connect#session=T&cb=CB&m=r`);
  await until(() => verbs(seen).includes('claim'));
  const { body } = seen.calls.find((c) => c.verb === 'claim');
  assert.deepEqual([body.cb, body.m, body.v, typeof body.marks], ['CB', 'r', undefined, 'object']);
}, doorB));

const usedWindow = (verb) => {
  if (verb === 'peek') return [200, { allowed_origin: APP, app_name: 'Acme' }];
  if (verb === 'claim') return [403, { error: 'binding_failed', message: 'Close it.', details: { reason: 'used_window' } }];
};

test('t07_a_new_window_has_a_history_of_one_and_one_that_was_led_here_has_more', on('shell', async ({ page, seen, context }) => {
  await openFromApp(page, context, '', '#session=T');
  await until(() => seen.visited.includes('/connect/notice/used_window'));
  assert.equal(seen.calls.find((c) => c.verb === 'claim').body.marks.history, 1);
  const popup = context.pages().find((other) => other !== page);
  await popup.waitForURL(/notice/);
  seen.calls.length = 0;
  await page.evaluate((url) => { window.popup.location = url; }, `${ORIGIN}/sdk/oauth/connect#session=T`);
  await until(() => seen.calls.some((c) => c.verb === 'claim'));
  assert.ok(seen.calls.find((c) => c.verb === 'claim').body.marks.history > 1);
}, usedWindow));

test('t07_a_window_that_was_in_use_says_so_and_tells_the_opener_of_the_sessions_origin', on('shell', async ({ page, seen, context }) => {
  await openFromApp(page, context, '', '#session=T');
  await until(() => seen.visited.includes('/connect/notice/used_window'));
  const told = { type: 'alter_connect_error', error: 'binding_failed', error_description: 'Close it.' };
  assert.deepEqual(await page.evaluate(() => window.heard), [{ origin: ORIGIN, data: told }]);
}, usedWindow));

test('t07_an_opener_of_another_origin_is_not_told', on('shell', async ({ page, seen, context }) => {
  await openFromApp(page, context, '', '#session=T');
  await until(() => seen.visited.includes('/connect/notice/used_window'));
  assert.deepEqual(await page.evaluate(() => window.heard), []);
  // the browser reports the refused postMessage on the console: this error is expected
  seen.errors = seen.errors.filter((e) => !/target origin provided/.test(e));
}, (verb) => (verb === 'peek' ? [200, { allowed_origin: 'https://other.example', app_name: 'Acme' }] : usedWindow(verb))));

// ---- presence ------------------------------------------------------------------------------------------

// A request that outlives its page cannot be intercepted in the browser: this one needs a real server.
test('a_flow_page_drops_the_marker_reports_itself_and_its_leaving', async () => {
  const calls = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => { body += chunk; });
    request.on('end', () => {
      const { url, headers } = request;
      if (url.startsWith('/connect/api/')) calls.push({ verb: url.split('/').pop(), body, headers });
      if (url === manifest.script_path) return response.setHeader('content-type', 'text/javascript').end(script);
      if (url.startsWith('/connect/s/')) return response.writeHead(200, HEADERS).end(source('consent'));
      return response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const origin = `http://127.0.0.1:${server.address().port}`;
  const page = await browser.newPage();
  try {
    await page.goto(`${origin}${path('consent')}?c=1`);
    await until(() => calls.some((c) => c.verb === 'seen'));
    assert.equal(page.url(), origin + path('consent'));
    await page.goto('about:blank');
    await until(() => calls.some((c) => c.verb === 'bye'));
    const bye = calls.find((c) => c.verb === 'bye');
    assert.deepEqual(
      [bye.body, bye.headers.origin, bye.headers['content-type'], bye.headers.referer],
      ['{"instance":3}', origin, 'application/json', undefined],
    );
  } finally {
    await page.close();
    server.close();
  }
});

// Whether Chromium sends our origin with a form depends on the page's own Referrer-Policy: a real server, too.
for (const javaScriptEnabled of [false, true]) {
  test(`a_plain_form_answers_the_question_${javaScriptEnabled ? 'with' : 'without'}_the_script`, async () => {
    const posts = [];
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => { body += chunk; });
      request.on('end', () => {
        const { url, method, headers } = request;
        if (url === manifest.script_path) return response.setHeader('content-type', 'text/javascript').end(script);
        if (url.startsWith('/connect/api/')) return response.setHeader('content-type', 'application/json').end('{}');
        if (method === 'POST') posts.push({ url, body, headers });
        if (method === 'POST') return response.writeHead(303, { location: path('extra') }).end();
        return response.writeHead(200, { ...HEADERS, 'referrer-policy': 'same-origin' }).end(source(posts.length ? 'done' : 'extra'));
      });
    });
    await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
    const origin = `http://127.0.0.1:${server.address().port}`;
    const context = await browser.newContext({ javaScriptEnabled });
    const page = await context.newPage();
    await page.addInitScript(() => { window.close = () => {}; });
    try {
      await page.goto(origin + path('extra'));
      await page.locator('button[value=allow]:not([aria-disabled=true])').click();
      await page.getByRole('heading', { name: 'Google is connected' }).waitFor();
      assert.equal(page.url(), origin + path('extra'));
      const [{ url, body, headers }] = posts;
      assert.deepEqual(
        [posts.length, url, body, headers.origin, headers['sec-fetch-site'], headers['content-type']],
        [1, path('extra'), 'shown=c2hvd24&answer=allow', origin, 'same-origin', 'application/x-www-form-urlencoded'],
      );
    } finally {
      await context.close();
      server.close();
    }
  });
}
test('firefox_says_goodbye_once_by_a_beacon_typed_as_json', on('consent', async ({ page, seen }) => {
  await page.addInitScript(() => {
    CSS.supports = (property) => property === '-moz-appearance';
    navigator.sendBeacon = (url, body) => {
      body.text().then((text) => { window.beacon = [url, body.type, text]; });
      return true;
    };
  });
  await page.goto(flow('consent'));
  await page.evaluate(() => dispatchEvent(new Event('pagehide')));
  await until(() => page.evaluate(() => !!window.beacon));
  assert.deepEqual(await page.evaluate(() => window.beacon),
    [`/connect/api/s/${path('consent').split('/').pop()}/bye`, 'application/json', '{"instance":3}']);
  await sent(page);
  assert.ok(!verbs(seen).includes('bye'), 'once');
}));

// ---- choices -------------------------------------------------------------------------------------------

test('t38_a_click_in_the_first_half_second_approves_nothing', on('consent', async ({ page, seen }) => {
  await stopClock(page);
  await page.goto(flow('consent'));
  const go = page.getByRole('button', { name: 'Continue to Google' });
  const asleep = async () => (await go.getAttribute('aria-disabled')) === 'true';
  await go.focus();
  await page.keyboard.press('Enter');
  await page.mouse.click(...(await go.boundingBox().then((b) => [b.x + 20, b.y + 20])));
  await sent(page);
  assert.ok(!verbs(seen).includes('approve'));
  assert.equal(await go.evaluate((b) => document.activeElement === b), true, 'focus stays where it was');
  await page.clock.runFor(500);
  assert.equal(await asleep(), false);
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  assert.equal(await asleep(), true, 'asleep again after it was uncovered');
  await page.clock.runFor(499);
  await page.keyboard.press('Enter');
  await sent(page);
  assert.equal(await asleep(), true, 'for half a second');
  assert.ok(!verbs(seen).includes('approve'));
  await page.clock.runFor(1);
  await page.keyboard.press('Enter');
  await until(() => seen.visited.includes('https://accounts.google.example/authorize?x=1'));
  assert.deepEqual(seen.calls.filter((c) => c.verb === 'approve').map((c) => c.body), [{ provider: 'google', shown: 'c2hvd24' }]);
}, (verb) => (verb === 'approve' ? [200, { location: 'https://accounts.google.example/authorize?x=1' }] : undefined)));

// A window without focus gets it by the click itself, half a second before the button works.
test('a_click_that_is_swallowed_says_to_press_once_more', on('consent', async ({ page, seen }) => {
  await stopClock(page);
  await page.goto(flow('consent'));
  const go = page.locator('[data-do=approve]');
  const colour = () => go.evaluate((button) => getComputedStyle(button).backgroundColor);
  const asleep = await colour();
  await page.clock.runFor(500);
  assert.equal(await colour(), asleep, 'the button does not jump from grey to green');
  assert.equal(await page.locator('#say').textContent(), '');
  await page.evaluate(() => dispatchEvent(new Event('focus')));
  const { x, y } = await go.boundingBox();
  await page.mouse.click(x + 20, y + 20);
  assert.equal(await page.locator('#say').textContent(), 'Press once more.');
  await sent(page);
  assert.ok(!verbs(seen).includes('approve'));
  await page.clock.runFor(500);
  await page.mouse.click(x + 20, y + 20);
  await until(() => verbs(seen).includes('approve'));
}, (verb) => (verb === 'approve' ? new Promise(() => {}) : undefined)));

test('t38_a_click_made_by_a_script_approves_nothing', on('consent', async ({ page, seen }) => {
  await stopClock(page);
  await page.goto(flow('consent'));
  await page.clock.runFor(500);
  const go = page.locator('[data-do=approve]');
  assert.equal(await go.getAttribute('aria-disabled'), null, 'control: it is awake');
  await go.evaluate((button) => button.click());
  assert.equal(await go.getAttribute('aria-busy'), null);
  await sent(page);
  assert.ok(!verbs(seen).includes('approve'));
}));

test('t38_a_click_in_the_first_half_second_allows_nothing', on('extra', async ({ page, seen }) => {
  await stopClock(page);
  await page.goto(flow('extra'));
  const allow = page.getByRole('button', { name: 'Allow' });
  await allow.focus();
  await page.keyboard.press('Enter');
  await allow.evaluate((button) => button.click());
  await sent(page);
  assert.ok(!verbs(seen).includes('form'));
  await page.clock.runFor(500);
  await allow.evaluate((button) => button.click());
  await sent(page);
  assert.ok(!verbs(seen).includes('form'), 'nor does a click made by a script');
  // A window may get its focus late, and then the half second begins anew.
  await until(async () => {
    await page.clock.runFor(500);
    if (!verbs(seen).includes('form')) await page.keyboard.press('Enter');
    return verbs(seen).includes('form');
  });
  assert.equal(seen.calls.find((c) => c.verb === 'form').body, 'shown=c2hvd24&answer=allow');
}));

test('a_click_on_allow_that_is_swallowed_says_to_press_once_more', on('extra', async ({ page, seen }) => {
  await stopClock(page);
  await page.goto(flow('extra'));
  const allow = page.getByRole('button', { name: 'Allow' });
  await allow.evaluate((button) => button.click());
  assert.equal(await page.locator('#say').textContent(), '', 'a script is told nothing');
  const { x, y } = await allow.boundingBox();
  await page.mouse.click(x + 20, y + 20);
  assert.equal(await page.locator('#say').textContent(), 'Press once more.');
  await sent(page);
  assert.ok(!verbs(seen).includes('form'));
}));

test('a_field_that_was_refused_has_the_focus_and_says_what_is_wrong', on('customer-mistyped', async ({ page }) => {
  await page.goto(flow('customer-mistyped'));
  const field = page.getByRole('textbox');
  assert.equal(await field.evaluate((it) => document.activeElement === it), true);
  assert.equal(await field.getAttribute('aria-invalid'), 'true');
  const about = page.locator(`#${await field.getAttribute('aria-describedby')}`);
  assert.match(await about.textContent(), /Its address ends with[^]*Write the name alone/);
}));

test('while_the_app_is_silent_consent_waits_and_says_so', on('consent', async ({ page, seen }) => {
  await page.goto(flow('consent'));
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByText('Checking with Acme Notes…').waitFor();
  await until(() => seen.visited.includes('https://accounts.google.example/'));
  assert.equal(verbs(seen).filter((v) => v === 'approve').length, 3);
}, (verb, _, seen) => {
  if (verb !== 'approve') return undefined;
  const n = seen.calls.filter((c) => c.verb === 'approve').length;
  return n < 3 ? [409, { error: 'waiting_for_app' }] : [200, { location: 'https://accounts.google.example/' }];
}));

test('a_flow_that_has_moved_on_is_shown_as_it_is', on('consent', async ({ page, seen }) => {
  await page.goto(flow('consent'));
  seen.name = 'cancelled';
  await page.evaluate(() => { window.close = () => {}; });
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('heading', { name: 'Cancelled' }).waitFor();
}, (verb) => (verb === 'approve' ? [410, { error: 'session_over' }] : undefined)));

test('an_address_that_is_not_http_is_not_followed', on('consent', async ({ page }) => {
  await page.goto(flow('consent'));
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('alert').filter({ hasText: 'That did not work' }).waitFor();
  assert.equal(page.url(), flow('consent'));
}, (verb) => (verb === 'approve' ? [200, { location: 'javascript:alert(1)' }] : undefined)));

test('an_error_is_told_in_words_and_the_buttons_come_back', on('picker', async ({ page, seen }) => {
  await page.goto(flow('picker'));
  await page.getByRole('button', { name: 'Slack' }).click();
  await page.getByRole('alert').filter({ hasText: 'We failed. (Reference: r1)' }).waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await until(() => verbs(seen).includes('cancel'));
  assert.deepEqual(seen.calls.find((c) => c.verb === 'select').body, { provider: 'slack' });
}, (verb) => (verb === 'select' ? [500, { message: 'We failed.', details: { request_id: 'r1' } }] : undefined)));

test('a_second_click_sends_nothing', on('picker', async ({ page, seen }) => {
  await page.goto(flow('picker'));
  await page.getByRole('button', { name: 'Slack' }).click();
  await page.getByRole('button', { name: 'Google' }).click({ force: true });
  await sent(page);
  assert.deepEqual(verbs(seen).filter((v) => v === 'select'), ['select']);
}, (verb) => (verb === 'select' ? new Promise(() => {}) : undefined)));

test('the_search_hides_what_does_not_match_and_says_how_many_are_left', on('picker-many', async ({ page }) => {
  await page.goto(flow('picker-many'));
  await page.getByRole('searchbox').fill('GIT');
  assert.deepEqual(await page.locator('button.row:visible').allInnerTexts().then((t) => t.map((x) => x.split('\n').pop())), ['GitHub', 'GitLab']);
  await page.getByRole('status').filter({ hasText: '2 services found' }).waitFor();
  await page.getByRole('searchbox').fill('<b>nothing');
  await page.getByRole('status').filter({ hasText: 'No service matches “<b>nothing”.' }).waitFor();
  await page.getByRole('searchbox').fill('');
  assert.equal(await page.locator('button.row:visible').count(), 12);
}));

test('the_address_of_the_app_is_copied_and_where_that_is_refused_the_page_says_what_to_do', on('webview', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: ORIGIN });
  await page.goto(flow('webview'));
  const copy = page.getByRole('button', { name: 'Copy the address' });
  await copy.click();
  await page.getByRole('status').filter({ hasText: 'Copied.' }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'https://notes.acme.example/accounts');
  await page.evaluate(() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); });
  await copy.click();
  await page.getByRole('status').filter({ hasText: 'Select the address and copy it.' }).waitFor();
  await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
  await copy.click();
  await page.getByRole('status').filter({ hasText: 'Select the address and copy it.' }).waitFor();
}));

test('who_goes_on_in_another_apps_browser_stays_there_after_a_reload', on('webview', async ({ page, seen }) => {
  await page.goto(flow('webview'));
  await page.getByRole('link', { name: 'Go on here' }).click();
  await until(() => seen.visited.at(-1) === `${path('webview')}?here=1`);
  await page.reload();
  await until(() => seen.visited.filter((at) => at === `${path('webview')}?here=1`).length === 2);
  await sent(page);
  assert.equal(page.url(), `${flow('webview')}?here=1`);
}));

// ---- waiting and the end -------------------------------------------------------------------------------

test('waiting_asks_until_the_state_is_another_and_shows_that', on('waiting', async ({ page, seen }) => {
  await page.addInitScript(() => { window.close = () => {}; });
  await page.goto(flow('waiting'));
  await page.getByRole('heading', { name: 'Google is connected' }).waitFor();
  assert.equal(verbs(seen).filter((v) => v === 'state').length, 3);
}, (verb, _, seen) => {
  if (verb !== 'state') return undefined;
  const over = seen.calls.filter((c) => c.verb === 'state').length === 3;
  if (over) seen.name = 'done';
  return [200, { page: over ? 'done' : 'waiting' }];
}));

const openFlow = async (page, opener) => {
  await page.goto(opener);
  await page.evaluate((url) => {
    window.heard = [];
    addEventListener('message', (event) => window.heard.push({ origin: event.origin, type: event.data.type }));
    window.popup = open(url, '_blank');
  }, flow('done'));
};

test('done_tells_the_published_client_at_exactly_its_origin_then_closes', on('done-legacy', async ({ page }) => {
  await openFlow(page, `${APP}/`);
  await until(() => page.evaluate(() => window.popup.closed));
  assert.deepEqual(await page.evaluate(() => window.heard), [{ origin: ORIGIN, type: 'alter_connect_success' }]);
}));

test('t05_done_tells_nothing_to_an_opener_of_another_origin', on('done-legacy', async ({ page, seen }) => {
  await openFlow(page, 'https://evil.example/');
  await until(() => page.evaluate(() => window.popup.closed));
  assert.deepEqual(await page.evaluate(() => window.heard), []);
  seen.errors = seen.errors.filter((e) => !/target origin provided/.test(e));
}));

test('done_for_our_own_sdk_closes_without_a_message', on('done', async ({ page }) => {
  await openFlow(page, `${APP}/`);
  await until(() => page.evaluate(() => window.popup.closed));
  assert.deepEqual(await page.evaluate(() => window.heard), []);
}));

// ---- the hub: client 0.8.0 hears of the end from the very window that it opened --------------------

/** The hub, as client 0.8.0 opens it, and the provider's window that a click on "Continue" opens. */
const throughHub = async (page, context) => {
  const opened = async (act) => (await Promise.all([context.waitForEvent('page'), act()]))[0];
  await page.goto(`${APP}/`);
  const hub = await opened(() => page.evaluate((url) => void open(url, 'alter_oauth_popup'), flow('consent-hub')));
  const go = hub.getByRole('button', { name: 'Continue' });
  await hub.locator('[data-guard]:not([aria-disabled="true"])').waitFor();
  return { hub, go, provider: await opened(() => go.click()) };
};
const PROVIDER = 'https://accounts.google.example/';
const atTheProvider = (verb, _, seen) => {
  if (verb === 'approve') return seen.refused ? [503, { message: 'Storage is away.' }] : [200, { location: PROVIDER }];
  if (verb === 'state') return [200, { page: seen.state ?? 'consent' }];
};

test('t34_the_provider_gets_a_window_of_its_own_and_reaches_no_other', on('consent-hub', async ({ page, seen, context }) => {
  const { hub, provider } = await throughHub(page, context);
  await provider.waitForURL(PROVIDER);
  assert.equal(await provider.evaluate(() => window.opener), null, 'it could send the hub elsewhere');
  assert.equal(hub.url(), flow('consent-hub'));
  await hub.getByText('Go on in the window of Google').waitFor();
  seen.name = 'done-legacy';
  seen.state = 'done';
  await hub.waitForEvent('close');
  assert.equal(page.url(), `${APP}/`);
}, atTheProvider));

test('a_provider_window_that_was_closed_can_be_opened_again', on('consent-hub', async ({ page, seen, context }) => {
  const { hub, go, provider } = await throughHub(page, context);
  await provider.close();
  await hub.locator('[data-guard]:not([aria-disabled="true"])').waitFor();
  const [again] = await Promise.all([context.waitForEvent('page'), go.click()]);
  await again.waitForURL(PROVIDER);
  assert.equal(verbs(seen).filter((verb) => verb === 'approve').length, 2);
}, atTheProvider));

test('a_refused_approval_leaves_no_window_behind', on('consent-hub', async ({ page, seen, context }) => {
  seen.refused = true;
  const { hub, provider } = await throughHub(page, context);
  if (!provider.isClosed()) await provider.waitForEvent('close');
  await hub.getByRole('alert').filter({ hasText: 'Storage is away.' }).waitFor();
}, atTheProvider));

test('where_windows_are_blocked_the_provider_comes_to_the_hub', on('consent-hub', async ({ page, seen, context }) => {
  await page.goto(`${APP}/`);
  await context.addInitScript(() => { window.open = () => null; });
  const [hub] = await Promise.all([
    context.waitForEvent('page'),
    page.evaluate((url) => void open(url, 'alter_oauth_popup'), flow('consent-hub')),
  ]);
  await hub.locator('[data-guard]:not([aria-disabled="true"])').waitFor();
  await hub.getByRole('button', { name: 'Continue' }).click();
  await hub.waitForURL(PROVIDER);
  assert.deepEqual(seen.visited.filter((url) => url === PROVIDER), [PROVIDER]);
}, atTheProvider));

test('the_providers_window_closes_itself_on_its_way_back', on('consent-hub', async ({ page, context }) => {
  const { provider } = await throughHub(page, context);
  await provider.waitForURL(PROVIDER);
  await Promise.all([provider.waitForEvent('close'), provider.goto(flow('consent-hub')).catch(() => {})]);
}, atTheProvider));
