// The whole way: button, popup, consent, provider, result, and the backend's call through the grant; on TLS and on
// plain loopback, with an OpenID provider that is not ours.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ended, look, person, until } from './harness/browser.mjs';
import { abortAtOidc, approve, consentAtOidc, logIn, toConsent, visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

const FIELDS = ['grant_id', 'provider', 'provider_name', 'account_identifier', 'timestamp', 'operation', 'scopes', 'status'];
const names = (flow) => flow.events.map((event) => event.name);

for (const tls of [true, false]) {
  const onTls = !tls && 'seen on TLS';
  describe(`connecting through a server on ${tls ? 'TLS' : 'plain loopback'}`, () => {
    let world, app, oidc;
    before(async () => {
      world = await startWorld({ tls, log: `connect-${tls ? 'tls' : 'plain'}` });
      [app, oidc] = [await world.app('Reader'), await world.oidc()];
      await world.addOidc(app, oidc);
    });
    after(() => world?.stop());

    test('a user connects an account and the backend calls the provider with the grant', async () => {
      const context = await person(world.browser);
      const page = await visit(context, app.site);
      const popup = await approve(await toConsent(page));
      await look(popup, 'provider-login', { foreign: true });
      await logIn(popup, 'carol');
      await popup.locator('a[href$="/abort"]').waitFor();
      const began = Date.now();
      await consentAtOidc(popup);
      const flow = await ended(page);
      console.log(`# onSuccess ${flow.ends[0].at - began} ms after the provider's button`);

      assert.deepEqual(flow.ends.map((end) => end.kind), ['success']);
      const [{ value: connection, all }] = flow.ends;
      for (const field of FIELDS) assert.ok(connection[field] !== undefined, field);
      assert.equal(connection.provider, 'oidc');
      assert.equal(connection.account_identifier, 'carol@oidc.test');
      assert.equal(connection.operation, 'creation');
      assert.equal(connection.status, 'active');
      assert.ok(connection.scopes.includes('openid'));
      assert.ok(Math.abs(Date.parse(connection.timestamp) - Date.now()) < 60_000);
      assert.deepEqual(all, [connection]);
      assert.deepEqual(names(flow), ['OPEN', 'PROVIDER_SELECTED', 'OAUTH_STARTED', 'OAUTH_COMPLETE']);
      for (const { metadata } of flow.events) assert.ok(Date.parse(metadata.timestamp) > 0);
      for (const { metadata } of flow.events.slice(1)) assert.equal(metadata.provider, 'oidc');
      await popupCloses(popup);

      const me = await app.backend.call(connection.grant_id, oidc.userinfo);
      assert.equal(me.status, 200);
      assert.equal(me.json.email, 'carol@oidc.test');
      const polled = await app.backend.poll(app.site.tokens.at(-1));
      assert.equal(polled.status, 'completed');
      assert.equal(polled.grants[0].grant_id, connection.grant_id);
      assert.deepEqual(context.faults.filter((fault) => fault.includes(world.origin)), []);
      assert.deepEqual(flow.violations, []);
      await context.close();
    });

    test('connecting the same account again keeps the grant and says reauth', { skip: onTls }, async () => {
      const grants = [];
      for (const operation of ['creation', 'reauth']) {
        const context = await person(world.browser);
        const page = await visit(context, app.site);
        const popup = await approve(await toConsent(page));
        await logIn(popup, 'dave');
        await consentAtOidc(popup);
        const [{ value }] = (await ended(page)).ends;
        assert.equal(value.operation, operation);
        grants.push(value.grant_id);
        await context.close();
      }
      assert.equal(grants[0], grants[1]);
    });

    test('a user who cancels at the provider gets oauth_denied', { skip: onTls }, async () => {
      const context = await person(world.browser);
      const page = await visit(context, app.site);
      const popup = await approve(await toConsent(page));
      await abortAtOidc(popup);
      const flow = await ended(page);
      assert.deepEqual(flow.ends.map((end) => [end.kind, end.value.code]), [['error', 'oauth_denied']]);
      assert.equal((await app.backend.poll(app.site.tokens.at(-1))).error.error_code, 'connect_denied');
      await context.close();
    });

    test('t47_a browser that blocks nothing keeps exactly one cookie of ours, with the right flags', async () => {
      const context = await person(world.browser);
      const page = await visit(context, app.site);
      const popup = await toConsent(page);
      const sid = new URL(await popup.url()).pathname.split('/').pop();
      const cookies = (await context.cookies()).filter((cookie) => cookie.domain.endsWith('localhost'));
      assert.equal(cookies.length, 1);
      const [cookie] = cookies;
      assert.equal(cookie.name, `${tls ? '__Host-' : ''}cs_${sid}`);
      assert.equal(cookie.domain, 'localhost', 't47: host-only');
      assert.equal(cookie.path, '/');
      assert.equal(cookie.httpOnly, true);
      assert.equal(cookie.secure, tls);
      assert.equal(cookie.sameSite, 'Lax');
      assert.ok(cookie.expires > Date.now() / 1000 && cookie.expires < Date.now() / 1000 + 3600);
      assert.equal(await popup.evaluate(() => document.cookie), '');
      await context.close();
    });
  });
}

/** The SDK closes the popup; the browser knows `isClosed` a moment later. */
const popupCloses = (popup) => until(() => popup.isClosed());
