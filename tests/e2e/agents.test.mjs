// A user and an agent, the whole way: the app's user signs in at the app's identity provider and connects an account in
// Chromium for an agent; backend and agent use the account; it is taken back. Once on each database.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Backend } from './harness/backend.mjs';
import { ended, look, person } from './harness/browser.mjs';
import { APP_CLIENT } from './harness/identity.mjs';
import { approve, consentAtOidc, logIn, toConsent, visit } from './harness/journey.mjs';
import { request } from './harness/net.mjs';
import { startPostgres } from './harness/postgres.mjs';
import { startWorld } from './harness/world.mjs';

for (const database of ['SQLite', 'PostgreSQL']) {
  describe(`a user and an agent on ${database}`, () => {
    let postgres, world, app, oidc, idp, agent, agentBackend, connection;
    const users = {};
    before(async () => {
      postgres = database === 'PostgreSQL' ? await startPostgres() : undefined;
      world = await startWorld({ log: `agents-${database.toLowerCase()}`, database: postgres?.url });
      [app, oidc, idp] = [await world.app('Reader'), await world.oidc(), await world.idp()];
      await world.addOidc(app, oidc);
      await world.cli('idp', 'set', app.id, '--issuer', idp.issuer, '--audience', APP_CLIENT);
      agent = await world.cli('agent', 'create', app.id, 'mail-helper', '--display-name', 'Mail helper');
      agentBackend = new Backend(world.origin, agent.api_key);
      idp.names.ada = 'Ada Lovelace';
      for (const user of ['ada', 'mallory']) users[user] = await idp.signIn(user);
    });
    after(async () => {
      await world?.stop();
      await postgres?.stop();
    });

    const tokenFor = (backend, fields) =>
      backend.post('/sdk/token', { ...fields, reason: 'test', request: { method: 'GET', url: oidc.userinfo } });
    const userinfo = (token) => request(oidc.userinfo, { headers: { Authorization: `Bearer ${token}` } });
    const refused = (answer, status, code) => assert.deepEqual([answer.status, answer.json.error], [status, code], answer.body);

    test('the consent page names app, user, agent and permissions, and the user connects an account', async () => {
      const context = await person(world.browser);
      Object.assign(app.site.mint, { user_token: users.ada.id_token, agent: 'mail-helper', requested_grant: { label: 'work' } });
      const page = await visit(context, app.site);
      const popup = await toConsent(page);
      await look(popup, `consent-agent-${database.toLowerCase()}`);
      const text = await popup.textContent('main');
      for (const part of ['to Reader', 'Ada Lovelace', 'Mail helper', 'openid', 'email', 'profile']) assert.ok(text.includes(part), part);
      assert.ok(!text.includes('mail-helper'), 'the name to show stands in place of the name');
      await approve(popup);
      await logIn(popup, 'carol');
      await consentAtOidc(popup);
      const { ends } = await ended(page);
      assert.deepEqual(ends.map((end) => end.kind), ['success']);
      connection = ends[0].value;
      assert.equal(connection.account_identifier, 'carol@oidc.test');
      const [grant] = (await app.backend.poll(app.site.tokens.at(-1))).grants;
      if (postgres) assert.equal(postgres.sql('SELECT count(*) FROM grants'), '1', 'it is in PostgreSQL');
      assert.deepEqual(grant.delegation, { agent_id: agent.agent_id, delegable: false });
      assert.deepEqual(context.faults.filter((fault) => fault.includes(world.origin)), []);
      await context.close();
    });

    test('the backend finds the grant by provider and user, with either JWT of the user', async () => {
      for (const user_token of [users.ada.id_token, users.ada.access_token]) {
        const released = await tokenFor(app.backend, { provider_id: 'oidc', user_token });
        assert.equal(released.status, 200, released.body);
        assert.equal(released.json.grant_id, connection.grant_id);
        const me = await userinfo(released.json.access_token);
        assert.deepEqual([me.status, JSON.parse(me.body).email], [200, 'carol@oidc.test']);
      }
      const listed = await app.backend.post('/sdk/grants/list', { user_token: users.ada.id_token });
      assert.deepEqual(listed.json.grants.map((grant) => [grant.grant_id, grant.label, grant.delegated_agent_ids]),
        [[connection.grant_id, 'work', [agent.agent_id]]]);
    });

    test('another user finds nothing, by whichever way, and neither does a token that somebody else signed', async () => {
      const user_token = users.mallory.id_token;
      refused(await tokenFor(app.backend, { provider_id: 'oidc', user_token }), 404, 'grant_not_found');
      refused(await tokenFor(app.backend, { grant_id: connection.grant_id, user_token }), 404, 'grant_not_found');
      assert.equal((await app.backend.post('/sdk/grants/list', { user_token })).json.total, 0);
      refused(await app.backend.post(`/sdk/oauth/grants/${connection.grant_id}/revoke`, { user_token }), 404, 'grant_not_found');
      const other = await world.idp();
      const foreign = await other.signIn('ada');
      refused(await tokenFor(app.backend, { provider_id: 'oidc', user_token: foreign.id_token }), 401, 'jwt_validation_error');
    });

    test('the agent uses the account with its own key, and can neither connect nor revoke', async () => {
      const released = await tokenFor(agentBackend, { provider_id: 'oidc' });
      assert.equal(released.status, 200, released.body);
      const me = await userinfo(released.json.access_token);
      assert.deepEqual([me.status, JSON.parse(me.body).email], [200, 'carol@oidc.test']);
      refused(await agentBackend.post('/sdk/oauth/connect/session', { user_token: users.ada.id_token }), 403, 'app_key_required');
      refused(await agentBackend.post(`/sdk/oauth/grants/${connection.grant_id}/revoke`, {}), 403, 'app_key_required');
    });

    test('a suspended agent gets nothing until it is resumed', async () => {
      await world.cli('agent', 'suspend', app.id, 'mail-helper');
      refused(await tokenFor(agentBackend, { provider_id: 'oidc' }), 401, 'agent_inactive');
      await world.cli('agent', 'resume', app.id, 'mail-helper');
      assert.equal((await tokenFor(agentBackend, { provider_id: 'oidc' })).status, 200);
    });

    test('once the delegation is revoked the agent gets nothing, and the backend still does', async () => {
      const ending = await app.backend.send('DELETE', `/sdk/grants/${connection.grant_id}/delegations/${agent.agent_id}`);
      assert.ok(ending.status < 300, ending.body);
      refused(await tokenFor(agentBackend, { provider_id: 'oidc' }), 404, 'no_delegated_grant');
      refused(await tokenFor(agentBackend, { grant_id: connection.grant_id }), 404, 'no_delegated_grant');
      assert.equal((await tokenFor(app.backend, { provider_id: 'oidc', user_token: users.ada.id_token })).status, 200);
    });

    test('once the grant is revoked the provider does not know its token any more', async () => {
      const { access_token } = (await tokenFor(app.backend, { grant_id: connection.grant_id })).json;
      assert.equal(await oidc.knows(access_token), true);
      const revoked = await app.backend.post(`/sdk/oauth/grants/${connection.grant_id}/revoke`,
        { user_token: users.ada.id_token, reason: 'The user asked.' });
      assert.deepEqual([revoked.status, revoked.json.revocation], [200, 'confirmed'], revoked.body);
      assert.equal(await oidc.knows(access_token), false);
      assert.equal((await userinfo(access_token)).status, 401);
      refused(await tokenFor(app.backend, { grant_id: connection.grant_id }), 403, 'grant_revoked');
      refused(await tokenFor(app.backend, { provider_id: 'oidc', user_token: users.ada.id_token }), 404, 'grant_not_found');
      refused(await tokenFor(agentBackend, { provider_id: 'oidc' }), 404, 'no_delegated_grant');
    });
  });
}
