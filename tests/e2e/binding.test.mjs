// Whose flow is it? Links, evil openers and URLs that change hands (T01-T08, T25). Beside every refusal the legitimate
// flow goes through with the same session, so that nothing here passes because nothing works.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ended, look, person } from './harness/browser.mjs';
import { startEvil } from './harness/evil.mjs';
import { allowAs, toConsent, toRaw, visit } from './harness/journey.mjs';
import { request } from './harness/net.mjs';
import { startWorld } from './harness/world.mjs';

let world, app, evil;
before(async () => {
  world = await startWorld({ log: 'binding' });
  app = await world.rawApp('Reader');
  evil = await startEvil();
});
after(async () => {
  await evil?.stop();
  await world?.stop();
});

const OPEN_FROM = 'h1:has-text("Open this page from")';

/** A session that an attacker minted at the app for himself and hands to others. */
const attackersSession = () => app.backend.mint({ allowed_origin: app.site.origin });

/** The app's own button still works with that very session. */
async function ownButtonWorks(token) {
  const context = await person(world.browser);
  app.site.nextToken = token;
  const page = await visit(context, app.site);
  await allowAs(await toRaw(page));
  const flow = await ended(page);
  assert.deepEqual(flow.ends.map((end) => end.kind), ['success']);
  await context.close();
}

async function refusedEverywhere(context, popup, before) {
  await popup.locator(OPEN_FROM).waitFor();
  assert.equal(app.raw.authorizations(), before, 'the provider was not contacted');
  const ours = (await context.cookies()).filter((cookie) => cookie.name.includes('cs_'));
  assert.deepEqual(ours, [], 'no browser key was given');
}

test('t01_a_link_that_was_sent_by_mail_opens_nothing', async () => {
  const { connect_url: link, session_token: token } = await attackersSession();
  for (const url of [link, `${link}&cb=${'A'.repeat(43)}&m=p`, `${link}&cb=${'A'.repeat(43)}&m=r`]) {
    const context = await person(world.browser);
    const before = app.raw.authorizations();
    const page = await context.newPage();
    await page.goto(url);
    await refusedEverywhere(context, page, before);
    await look(page, 'open-from-app');
    assert.ok(!(await page.url()).includes(token));
    await context.close();
  }
  await ownButtonWorks(token);
});

for (const policy of ['', 'no-referrer']) {
  test(`t01_t05_an evil page cannot open it either, Referrer-Policy ${policy || 'default'}`, async () => {
    const { connect_url: link, session_token: token } = await attackersSession();
    const tricks = {
      'window.open': `open(${JSON.stringify(link)}, 'alter_oauth_popup')`,
      'window.open with cb': `open(${JSON.stringify(`${link}&cb=${'A'.repeat(43)}&m=p`)}, '_blank')`,
      'a form': `const f = document.createElement('form');
        Object.assign(f, {method: 'post', action: ${JSON.stringify(`${world.origin}/connect/open`)}, target: '_blank'});
        f.rel = 'opener';
        for (const [name, value] of [['session', ${JSON.stringify(token)}], ['cb', 'A'.repeat(43)], ['m', 'p']])
          f.append(Object.assign(document.createElement('input'), {name, value}));
        document.body.append(f); f.submit();`,
      // It asks nothing of the server, which would tell it at once that it is the wrong page.
      'our own SDK': `window.setInterval = () => 0; const s = document.createElement('script'); s.src = ${JSON.stringify(`${world.origin}/sdk/alter-connect.umd.js`)};
        s.onload = () => { const b = document.body.appendChild(document.createElement('button')); b.id = 'go';
          b.onclick = () => AlterConnect.create().open({token: ${JSON.stringify(token)}, onSuccess: (c) => { heard.push(['success', c]) }}) };
        document.body.append(s);`,
    };
    for (const [trick, script] of Object.entries(tricks)) {
      const context = await person(world.browser);
      const before = app.raw.authorizations();
      const page = await context.newPage();
      await page.goto(evil.page(`<button id="go0">free money</button><script>go0.onclick = () => { ${script} }</script>`, policy));
      let opened = context.waitForEvent('page');
      await page.click('#go0');
      if (trick === 'our own SDK') await page.click('#go');
      const popup = await opened;
      await refusedEverywhere(context, popup, before);
      assert.deepEqual(await page.evaluate(() => heard), [], `${trick}: the opener heard nothing`);
      await context.close();
    }
    await ownButtonWorks(token);
  });
}

test('t02_an_authorization_url_that_is_finished_in_another_browser_is_refused', async () => {
  const attacker = await person(world.browser);
  const victim = await person(world.browser);
  const page = await visit(attacker, app.site);
  const url = await (await toRaw(page)).url();
  const before = app.raw.tokenRequests;
  const lured = await victim.newPage();
  await lured.goto(url);
  await lured.click('#alice');
  await lured.locator('body[data-page="notice"]').waitFor();
  await look(lured, 'wrong-browser');
  assert.equal(app.raw.tokenRequests, before, 'the code was not exchanged');
  // The code is burned: the attacker's own browser cannot use it any more either, and his page gets no grant.
  const flow = await ended(page);
  assert.deepEqual(flow.ends.map((end) => [end.kind, end.value.code]), [['error', 'binding_failed']]);
  await ownButtonWorks();
  assert.equal(app.raw.tokenRequests, before + 1, 'the same scene in one browser exchanges its code');
  await Promise.all([attacker.close(), victim.close()]);
});

/** Goes up to the provider's answer, but keeps the browser from delivering it. Returns the callback URL as `url`. */
async function heldCallback(context, user) {
  const page = await visit(context, app.site);
  const popup = await toRaw(page);
  const url = await popup.getAttribute(`#${user}`, 'href');
  return { page, popup, url };
}

test('t04_a_callback_url_that_is_delivered_by_another_browser_is_refused', async () => {
  const attacker = await person(world.browser);
  const victim = await person(world.browser);
  const { page, url } = await heldCallback(attacker, 'alice');
  const before = app.raw.tokenRequests;
  const lured = await victim.newPage();
  await lured.goto(url);
  await lured.locator('body[data-page="notice"]').waitFor();
  assert.equal(app.raw.tokenRequests, before);
  assert.deepEqual((await ended(page)).ends.map((end) => end.kind), ['error']);
  await Promise.all([attacker.close(), victim.close()]);
});

test('t03_a_code_of_another_flow_under_the_victims_state_yields_no_grant', async () => {
  const attacker = await person(world.browser);
  const victim = await person(world.browser);
  const stolen = new URL((await heldCallback(attacker, 'bob')).url);
  const own = await heldCallback(victim, 'alice');
  const crossed = new URL(own.url);
  crossed.searchParams.set('code', stolen.searchParams.get('code'));
  await own.popup.goto(crossed.href).catch(() => {});
  const flow = await ended(own.page);
  assert.deepEqual(flow.ends.map((end) => [end.kind, end.value.code]), [['error', 'oauth_provider_error']]);
  await Promise.all([attacker.close(), victim.close()]);
});

test('t25_an_error_that_somebody_else_delivers_leaves_the_flow_alive', async () => {
  const context = await person(world.browser);
  const { page, popup, url } = await heldCallback(context, 'alice');
  const forged = new URL(url);
  forged.searchParams.delete('code');
  forged.searchParams.set('error', 'access_denied');
  const answer = await request(forged.href);
  assert.equal(answer.status, 400);
  await allowAs(popup);
  assert.deepEqual((await ended(page)).ends.map((end) => end.kind), ['success']);
  await context.close();
});

test('t53_a_second_browser_with_the_token_is_sent_away_and_the_first_goes_on', async () => {
  const first = await person(world.browser);
  const second = await person(world.browser);
  const page = await visit(first, app.site);
  const popup = await toConsent(page);
  app.site.nextToken = app.site.tokens.at(-1);
  const late = await visit(second, app.site);
  await late.click('#connect:enabled');
  const [refused] = (await ended(late)).ends;
  assert.deepEqual([refused.value.code, refused.value.details.reason], ['session_expired', 'other_browser']);
  await popup.click('[data-do="approve"]');
  await popup.locator('h1:text("Raw provider")').waitFor();
  await allowAs(popup);
  assert.deepEqual((await ended(page)).ends.map((end) => end.kind), ['success']);
  await Promise.all([first.close(), second.close()]);
});
