// Windows and messages: openers that are cut off, popups that are steered elsewhere, forged and overheard messages,
// frames (T31, T32, T35-T38).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { at, clickConnect, ended, pause, person, told, until } from './harness/browser.mjs';
import { startEvil } from './harness/evil.mjs';
import { lacks } from './harness/engines.mjs';
import { allowAs, approve, toConsent, toRaw, visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

let world, app, evil;
before(async () => {
  world = await startWorld({ log: 'windows' });
  app = await world.rawApp('Reader');
  evil = await startEvil();
});
after(async () => {
  await evil?.stop();
  await world?.stop();
});

const kinds = (flow) => flow.ends.map((end) => end.kind);

for (const coop of ['same-origin', 'same-origin-allow-popups', 'noopener-allow-popups']) {
  test(`t35_t36_a provider with COOP ${coop} neither loses the result nor looks like an exit`, { skip: lacks(coop) }, async (t) => {
    t.after(() => Object.assign(app.raw, { headers: {} }));
    app.raw.headers = { 'Cross-Origin-Opener-Policy': coop };
    const context = await person(world.browser);
    const page = await visit(context, app.site);
    const popup = await toRaw(page);
    assert.equal(await popup.evaluate(() => window.opener === null), true, 'it does sever');
    assert.equal(await page.evaluate(() => window.flow.instance.isOpen()), false, 'and the app sees a closed popup');
    await pause(coop === 'same-origin' ? 6000 : 500);
    assert.deepEqual(kinds(await told(page)), []);
    await allowAs(popup);
    assert.deepEqual(kinds(await ended(page)), ['success']);
    await context.close();
  });
}

test('t36_a later hop that severs is no exit, not even when the person clicks in the app meanwhile', async () => {
  const organisation = await world.rawApp('Organisation');
  organisation.raw.hop = { 'Cross-Origin-Opener-Policy': 'same-origin' };
  const context = await person(world.browser);
  const page = await visit(context, organisation.site);
  const popup = await toRaw(page);
  await pause(1500);
  assert.equal(await page.evaluate(() => window.flow.instance.isOpen()), true, 'the first page keeps the opener');
  await popup.click('#on');
  await popup.locator('#alice').waitFor();
  assert.equal(await page.evaluate(() => window.flow.instance.isOpen()), false, 'and the second severs it');
  for (let n = 0; n < 3; n += 1) {
    await page.bringToFront();
    await page.click('h1');
    await pause(2500);
  }
  assert.deepEqual(kinds(await told(page)), []);
  await popup.bringToFront();
  await allowAs(popup);
  assert.deepEqual(kinds(await ended(page)), ['success']);
  await context.close();
});

test('a popup closed at a provider that three flows have shown to keep the opener is an exit', async () => {
  const keeps = await world.rawApp('Keeps');
  const context = await person(world.browser);
  for (let flow = 0; flow < 3; flow += 1) {
    const page = await visit(context, keeps.site);
    await allowAs(await toRaw(page));
    assert.deepEqual(kinds(await ended(page)), ['success']);
    await page.close();
  }
  const page = await visit(context, keeps.site);
  const popup = await toRaw(page);
  const began = Date.now();
  await popup.close();
  const flow = await ended(page);
  assert.deepEqual(kinds(flow), ['exit']);
  console.log(`# onExit ${flow.ends[0].at - began} ms after the close`);
  await context.close();
});

for (const coop of ['same-origin', 'same-origin-allow-popups']) {
  test(`t35_an app page with COOP ${coop} gets its result`, async () => {
    const context = await person(world.browser);
    const page = await visit(context, app.site, `?coop=${coop}`);
    await allowAs(await toRaw(page));
    assert.deepEqual(kinds(await ended(page)), ['success']);
    await context.close();
  });
}

test('an app page with COOP same-origin whose CSP forbids the form is refused, with the CSP line to add', async () => {
  const context = await person(world.browser);
  const page = await visit(context, app.site, '?coop=same-origin&csp=no-form');
  const popup = await clickConnect(page);
  await popup.locator('h1:has-text("Open this page from")').waitFor();
  assert.match(await popup.locator('details').textContent(), /form-action/);
  await context.close();
});

test('t32_forged_messages_settle_nothing_and_learn_nothing', async (t) => {
  const context = await person(world.browser);
  const attacker = await context.newPage();
  // At 127.0.0.1, since Firefox gives a page that it opens from a host it does not trust no `crypto.subtle` to spy on.
  const near = await startEvil('127.0.0.1');
  t.after(() => near.stop());
  await attacker.goto(near.page(`<button id="go">go</button><script>
    go.onclick = () => { window.app = open(${JSON.stringify(`${app.site.origin}/?csp=no-form`)}); };
    forge = (id) => { for (let n = 0; n < 200; n++) for (const data of [
      {alter: 'hello', id}, {alter: 'hello', id: ''}, {alter: 'hello'}, {alter: 'proof', id, v: 'x'}, null, 'hello',
      {type: 'alter_connect_success', grants: [{grant_id: 'g', provider: 'raw'}]}, {type: 'alter_connect_error', error: 'x'},
    ]) app.postMessage(data, '*'); };
  </script>`));
  const [page] = await Promise.all([attacker.waitForEvent('popup'), attacker.click('#go')]);
  // The attacker even has the flow's id, from the popup's address before it is cleared: a hello must come from that popup.
  await page.locator('#connect:enabled').waitFor();
  const spied = await spyOnFlowId(page);
  const popup = await toConsent(page);
  const id = await spied();
  assert.match(id, /^[\w-]{43}$/);
  await attacker.evaluate((cb) => window.forge(cb), id);
  await pause(500);
  assert.deepEqual(kinds(await told(page)), []);
  assert.deepEqual(await attacker.evaluate(() => window.heard), []);
  await page.evaluate(() => window.opener.postMessage('overheard', '*'));
  await attacker.locator('body').waitFor();
  assert.equal((await attacker.evaluate(() => window.heard)).length, 1, 'its ear works');
  await approve(popup);
  await allowAs(popup);
  assert.deepEqual(kinds(await ended(page)), ['success']);
  await context.close();
});

/** The `cb` that the SDK puts into the fragment of door B. */
async function spyOnFlowId(page) {
  await page.evaluate(() => {
    const digest = crypto.subtle.digest.bind(crypto.subtle);
    crypto.subtle.digest = async (...args) => {
      const bytes = await digest(...args);
      const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
      window.spied = text.replaceAll('+', '-').replaceAll('/', '_').replace('=', '');
      return bytes;
    };
  });
  return () => page.evaluate(() => window.spied);
}

test('t31_a_page_on_another_port_of_the_same_host_hears_nothing', async (t) => {
  const neighbour = await startEvil('127.0.0.1');
  const context = await person(world.browser);
  // The three seconds in which our page waits for an answer pass when the test says so.
  const release = world.holdTimers(3000);
  t.after(release);
  const { connect_url: link, session_token: token } = await app.backend.mint({ allowed_origin: app.site.origin });
  const page = await context.newPage();
  await page.goto(neighbour.page(`<button id="go">go</button><script>
    go.onclick = () => open(${JSON.stringify(`${link}&cb=${'A'.repeat(43)}&m=p`)}, '_blank');
  </script>`));
  const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#go')]);
  await at(popup, 'shell');
  // While our page waits for an answer, its address no longer contains the token (T43).
  await popup.waitForURL(`${world.origin}/sdk/oauth/connect`);
  await until(() => popup.evaluate(() => window.timePasses()).then(() => popup.locator('h1:has-text("Open this page from")').isVisible(), () => false));
  release();
  assert.deepEqual(await page.evaluate(() => window.heard), []);
  // Positive control: the right page opens the same session through the same door, and the message does arrive.
  app.site.nextToken = token;
  const other = await person(world.browser);
  const right = await visit(other, app.site, '?csp=no-form');
  await right.evaluate(() => {
    window.hellos = 0;
    addEventListener('message', (event) => { window.hellos += event.data?.alter === 'hello'; });
  });
  await toConsent(right);
  assert.equal(await right.evaluate(() => window.hellos), 1);
  await neighbour.stop();
  await other.close();
  await context.close();
});

test('t37_two_flows_in_two_tabs_do_not_disturb_each_other', async () => {
  const context = await person(world.browser);
  const [one, two] = [await visit(context, app.site), await visit(context, app.site)];
  const [first, second] = [await toRaw(one), await toRaw(two)];
  await allowAs(second, 'bob');
  assert.equal((await ended(two)).ends[0].value.account_identifier, 'bob@raw.test');
  assert.deepEqual(kinds(await told(one)), []);
  await allowAs(first, 'alice');
  const flow = await ended(one);
  assert.deepEqual(kinds(flow), ['success']);
  assert.equal(flow.ends[0].value.account_identifier, 'alice@raw.test');
  assert.equal((await told(two)).ends.length, 1);
  await context.close();
});

for (const csp of ['', 'no-form']) {
  test(`t37b_a hostile provider cannot steer the genuine popup into another session (${csp || 'form allowed'})`, async (t) => {
    t.after(() => Object.assign(app.raw, { page: undefined }));
    const { connect_url: link, session_token: token } = await app.backend.mint({ allowed_origin: app.site.origin });
    const context = await person(world.browser);
    const page = await visit(context, app.site, `?csp=${csp}`);
    const consent = await toConsent(page);
    const verifier = Buffer.alloc(32, 7);
    const cb = createHash('sha256').update(verifier).digest('base64url');
    app.raw.page = () => `<a id="steer" href="${link}&amp;cb=${cb}&amp;m=p">steer</a>`;
    const popup = await approve(consent);
    await page.evaluate(() => {
      window.hellos = [];
      addEventListener('message', (event) => window.hellos.push(event.data));
    });
    await popup.click('#steer');
    await popup.locator('h1:has-text("Open this page from")').waitFor();
    const hellos = await page.evaluate(() => window.hellos);
    assert.deepEqual(hellos, [{ alter: 'hello', id: cb }], 'the popup did ask the right page, about the wrong flow');
    assert.equal((await app.backend.poll(token)).status, 'pending');
    await context.close();
  });
}

test('t38_no_page_of_ours_shows_in_a_frame', async () => {
  const context = await person(world.browser);
  const page = await visit(context, app.site);
  const popup = await toConsent(page);
  const paths = [new URL(await popup.url()).pathname, '/sdk/oauth/connect', '/connect/notice/open', '/connect/notice/expired',
    `/oauth/callback/pc_${'a'.repeat(26)}?state=x&code=y`, '/nothing-here'];
  const frames = paths.map((path) => `<iframe src="${world.origin}${path}"></iframe>`).join('');
  const framing = await context.newPage();
  await framing.goto(evil.page(`${frames}<iframe src="${evil.page('<p id="shown">shown</p>')}"></iframe>`));
  const OURS = '[data-page]';
  const inside = (await framing.frames()).slice(1);
  const ours = await Promise.all(inside.map((frame) => frame.locator(OURS).count()));
  assert.deepEqual(ours, [...paths, 'the evil one'].map(() => 0));
  assert.equal(await inside.at(-1).locator('#shown').count(), 1, 'a page that allows it shows in its frame');
  await framing.goto(world.origin + paths[0]);
  assert.equal(await framing.locator(OURS).count(), 1, 'and ours shows in no frame');
  await context.close();
});

test('t38_a_click_that_was_meant_for_something_else_approves_nothing', async (t) => {
  const context = await person(world.browser);
  const page = await visit(context, app.site);
  // The half second in which the button sleeps lasts until the test ends it.
  t.after(world.holdTimers(500));
  const popup = await toConsent(page);
  const { x, y, width, height } = await popup.locator('[data-do="approve"]').boundingBox();
  const click = () => popup.mouse.click(x + width / 2, y + height / 2);
  const byScript = () => popup.evaluate(() => document.querySelector('[data-do="approve"]').click());
  const nothing = async (why) => {
    await popup.evaluate(() => fetch('/healthz'));
    assert.ok(!world.seen.some((request) => request.target.endsWith('/approve')), why);
    assert.equal(await popup.getAttribute('body', 'data-page'), 'consent', why);
  };
  world.seen.length = 0;
  await popup.reload({ waitUntil: 'domcontentloaded' });
  await click();
  await click();
  await byScript();
  await nothing('the button sleeps');
  await popup.waitForLoadState('load');
  await popup.evaluate(() => window.timePasses());
  await byScript();
  await nothing('a click by script never counts');
  await popup.click('[data-do="approve"]');
  await popup.locator('h1:text("Raw provider")').waitFor();
  await context.close();
});
