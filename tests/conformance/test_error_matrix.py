"""Every row of error_matrix.txt that our server produces, through the published client: the call raises the class that the
table names, with the status, the code and the fields that programs read. matrix.py says why the other rows do not occur."""

import asyncio
import contextlib
import time
import unittest.mock

import harness
import matrix
from world import UNKNOWN, Case

INVALID = "alter_rk_abcdefghijklmnopqrstuv_iwpykn"


class Rows(Case):
    """`met` asserts one row and records it for the page."""

    idp = True
    scopes = {"acme": ["read"]}

    @contextlib.contextmanager
    def met(self, status, code, column, call, says=None, **fields):
        """`column`: the kind of call, as the table names it (its `connect` stands for the grants' calls too); `says`: our
        code where the row is any other. A field may be a value, or a function that judges it."""
        expected = matrix.rows()[str(status), code][column]
        with self.assertRaises(Exception) as caught:
            yield caught
        error = caught.exception
        self.assertEqual(type(error).__name__, expected, repr(error))
        # On agent routes the client passes the body on without the status.
        self.assertEqual(error.details.get("status_code", status), status)
        self.assertEqual(error.details["error"], says or code)
        for name, value in fields.items():
            got = getattr(error, name) if hasattr(error, name) else error.details[name]
            self.assertTrue(value(got) if callable(value) else got == value, f"{name}: {got!r}")
        matrix.produced(str(status), code, call, says, expected, fields)

    async def everywhere(self, key, status, code, **fields):
        """Refusals of the key itself, on each kind of endpoint."""
        async with self.client(key) as app:
            with self.met(status, code, "token", "request", **fields):
                await app.request("GET", self.api, grant_id=UNKNOWN)
            with self.met(status, code, "connect", "create_connect_session", **fields):
                await app.create_connect_session()
            with self.met(status, code, "poll", "poll_connect_session", **fields):
                await app.poll_connect_session("alter_cs_" + "a" * 49, timeout=60, poll_interval=0.2)
            with self.met(status, code, "connect", "list_grants", **fields):
                await app.list_grants()
            with self.met(status, code, "agents", "agents.list", **fields):
                await app.agents.list()


class KeyRows(Rows):
    async def test_a_key_that_is_unknown_or_revoked(self):
        await self.everywhere(INVALID, 401, "invalid_key", hint=bool)
        made = self.server.cli("key", "create", self.made["app_id"])
        self.server.cli("key", "revoke", self.made["app_id"], made["key_id"])
        await self.everywhere(made["api_key"], 401, "key_revoked", hint=bool)

    async def test_an_agent_that_is_suspended_or_deleted(self):
        async with self.client() as app:
            made = await app.agents.create(name="gone", scopes={})
            await app.agents.suspend(str(made.id))
            await self.everywhere(made.api_key, 401, "agent_inactive", hint=bool)
            await app.agents.delete(str(made.id))
        await self.everywhere(made.api_key, 401, "agent_revoked", hint=bool)

    async def test_a_clock_that_is_an_hour_slow(self):
        true_time = time.time
        async with self.client() as app:
            with unittest.mock.patch("time.time", lambda: true_time() - 3600):
                with self.met(401, "zzz", "token", "request", says="signature_expired"):
                    await app.request("GET", self.api, grant_id=UNKNOWN)
                with self.met(401, "zzz", "agents", "agents.list", says="signature_expired"):
                    await app.agents.list()

    async def test_an_agents_key_where_the_apps_is_needed_and_the_other_way_round(self):
        async with self.client() as app:
            made = await app.agents.create(name="agent", scopes=self.scopes)
            agent_id = str(made.id)
            grant = await self.connect(app, user_token=self.user("m-keys"), agent="agent")
        as_app, as_agent = self.client(made.api_key), self.agent(self.made["api_key"])
        async with as_app, as_agent:
            other = {"says": "app_key_required"}
            with self.met(403, "zzz", "connect", "create_connect_session", policy_error="app_key_required", **other):
                await as_app.create_connect_session()
            with self.met(403, "zzz", "connect", "revoke_grant", policy_error="app_key_required", **other):
                await as_app.revoke_grant(grant.grant_id)
            with self.met(403, "zzz", "agents", "agents.list", **other):
                await as_app.agents.list()
            with self.met(403, "agent_cannot_mint_subagents", "agents", "agents.create"):
                await as_app.agents.create(name="child", scopes={})
            with self.met(403, "use_self_revoke_path", "connect", "App.revoke_delegation", policy_error="use_self_revoke_path"):
                await as_app.revoke_delegation(grant.grant_id, agent_id)
            with self.met(403, "me_requires_agent_key", "agents", "Agent.me"):
                await as_agent.me()
            with self.met(403, "agent_key_required", "connect", "Agent.revoke_delegation", policy_error="agent_key_required"):
                await as_agent.revoke_delegation(grant.grant_id)


class SessionRows(Rows):
    async def test_a_session_that_is_not_made(self):
        async with self.client() as app:
            with self.met(400, "agent_requires_user_token", "connect", "create_connect_session"):
                await app.create_connect_session(agent="somebody")
            with self.met(404, "agent_not_found", "connect", "create_connect_session"):
                await app.create_connect_session(agent="nobody", user_token=self.user("m-nobody"))
            with self.met(400, "zzz", "connect", "create_connect_session", says="invalid_origin"):
                await app.create_connect_session(allowed_origin=harness.SITE + "/")
            with self.met(400, "zzz", "connect", "create_connect_session", says="unsupported_field"):
                await app.create_connect_session(scope_constraint=["read"])

    async def test_more_sessions_than_a_minute_has(self):
        made = self.world.app("Few sessions", "--sessions-per-minute", "1")
        async with self.client(made["api_key"]) as app:
            await app.create_connect_session()
            facts = {"scope": "api_key", "limit": 1, "window_seconds": 60, "retry_after": lambda wait: 0 < wait <= 60}
            with self.met(429, "rate_limit_exceeded", "connect", "create_connect_session", **facts):
                await app.create_connect_session()

    async def test_a_session_that_is_not_there(self):
        async with self.client() as app:
            with self.met(404, "zzz", "poll", "poll_connect_session", says="invalid_token"):
                await app.poll_connect_session("alter_cs_" + "a" * 49, timeout=60, poll_interval=0.2)


class UserRows(Rows):
    async def test_a_user_token_that_is_not_valid(self):
        async with self.client() as app:
            with self.met(401, "jwt_validation_error", "connect", "create_connect_session"):
                await app.create_connect_session(user_token=self.user("m-invalid", aud="another"))
            with self.met(401, "jwt_validation_error", "token", "request"):
                await app.request("GET", self.api, provider="acme", user_token=self.user("m-invalid", exp=1))
            with self.met(401, "jwt_validation_error", "connect", "list_grants"):
                await app.list_grants(end_user_token="a.b.c")
        async with self.client(user_token_getter=lambda: "a.b.c") as app:
            with self.met(401, "jwt_validation_error", "connect", "revoke_grant"):
                await app.revoke_grant(UNKNOWN)

    async def test_no_identity_provider_and_one_that_is_down(self):
        idp = harness.IdentityProvider()
        made, token = self.world.app("Down", idp=idp), idp.token()
        idp.stop()
        async with self.client(self.world.made["api_key"]) as app:
            with self.met(400, "zzz", "connect", "create_connect_session", says="idp_not_configured"):
                await app.create_connect_session(user_token=token)
        async with self.client(made["api_key"]) as app:
            with self.met(503, "zzz", "connect", "create_connect_session", says="idp_unreachable"):
                await app.create_connect_session(user_token=token)
            with self.met(503, "zzz", "token", "request", says="idp_unreachable"):
                await app.request("GET", self.api, provider="acme", user_token=token)


class GrantRows(Rows):
    async def test_a_grant_that_is_not_there_or_no_longer(self):
        async with self.client() as app:
            with self.met(404, "grant_not_found", "token", "request by grant"):
                await app.request("GET", self.api, grant_id=UNKNOWN)
            with self.met(404, "grant_not_found", "token", "request by provider", provider_id="acme"):
                await app.request("GET", self.api, provider="acme", user_token=self.user("m-none"))
            with self.met(404, "grant_not_found", "connect", "revoke_grant"):
                await app.revoke_grant(UNKNOWN)
            with self.met(404, "grant_not_found", "connect", "App.revoke_delegation"):
                await app.revoke_delegation(UNKNOWN, UNKNOWN)
            grant = await self.connect(app, user_token=self.user("m-ended"))
            with self.met(404, "agent_not_found", "connect", "App.revoke_delegation"):
                await app.revoke_delegation(grant.grant_id, UNKNOWN)
            await app.revoke_grant(grant.grant_id)
            with self.met(403, "grant_revoked", "token", "request", grant_id=grant.grant_id):
                await app.request("GET", self.api, grant_id=grant.grant_id)

    async def test_a_grant_whose_user_must_connect_again(self):
        self.provider.life = 1
        jwt = self.user("m-again")
        async with self.client() as app:
            grant = await self.connect(app, user_token=jwt)
            await asyncio.sleep(1)
            ids = {"grant_id": grant.grant_id, "provider_id": "acme"}
            with self.met(400, "credential_revoked", "token", "request", **ids) as refused:
                await app.request("GET", self.api, provider="acme", user_token=jwt)
            self.assertEqual(refused.exception.details["details"]["reason"], "no_refresh_token")
            [listed] = (await app.list_grants(end_user_token=jwt)).grants
            self.assertTrue(listed.needs_reconnect)
            self.provider.life = 3600
            again = await self.connect(app, user_token=jwt, allowed_providers=["acme"])
            self.assertEqual((again.grant_id, again.operation), (grant.grant_id, "reauth"))
            await app.request("GET", self.api, provider="acme", user_token=jwt)

    async def test_a_grant_that_is_somebody_elses_kind(self):
        async with self.client() as app:
            grant = await self.connect(app, "lee")
            mismatch = "system_grant_user_token_mismatch"
            with self.met(403, mismatch, "token", "request", policy_error=mismatch):
                await app.request("GET", self.api, grant_id=grant.grant_id, user_token=self.user("m-kind"))
        made = self.world.app("Demands users", "--require-user-token", idp=self.world.idp)
        async with self.client(made["api_key"]) as app:
            grant = await self.connect(app, user_token=self.user("m-kind"))
            with self.met(403, "zzz", "token", "request", says="user_token_required", policy_error="user_token_required"):
                await app.request("GET", self.api, grant_id=grant.grant_id)

    async def test_several_grants_that_fit(self):
        token = self.user("m-several")
        async with self.client() as app:
            made = {
                person: (await self.connect(app, person, user_token=token, requested_grant={"label": "work"})).grant_id
                for person in ("kim", "lee")
            }

            def all_of_both(candidates):
                found = {(c.grant_id, c.label, c.account_identifier, c.account_display_name) for c in candidates}
                names = {"kim": "Kim", "lee": "Lee"}
                return found == {(made[p], "work", f"{p}@provider.test", names[p]) for p in made}

            facts = {
                "provider_id": "acme",
                "candidates": all_of_both,
                "candidates_truncated": False,
                "grant_ids": lambda ids: set(ids) == set(made.values()),
                "account_identifiers": lambda names: set(names) == {"kim@provider.test", "lee@provider.test"},
                "account_was_provided": False,
                "app_user_ids": lambda ids: len(ids) == 1,
            }
            with self.met(409, "ambiguous_grant", "token", "request", **facts):
                await app.request("GET", self.api, provider="acme", label="work", user_token=token)

    async def test_a_url_elsewhere_and_a_provider_that_was_removed(self):
        made = self.world.app("Removes")
        async with self.client(made["api_key"]) as app:
            grant = await self.connect(app)
            with self.met(422, "blocked_destination", "token", "request", request_id=bool):
                await app.request("GET", "https://elsewhere.example/", grant_id=grant.grant_id)
            self.server.cli("provider", "remove", made["app_id"], "acme")
            with self.met(409, "zzz", "token", "request", says="provider_not_configured"):
                await app.request("GET", self.api, grant_id=grant.grant_id)

    async def test_a_call_that_is_narrowed_is_refused_and_not_widened(self):
        async with self.client() as app:
            with self.met(400, "zzz", "token", "with_constraints.request", says="unsupported_field"):
                await app.with_constraints(scopes=["tokens:retrieve"]).request("GET", self.api, grant_id=UNKNOWN)


class DelegationRows(Rows):
    async def test_an_agent_without_a_delegation(self):
        async with self.client() as app:
            made = await app.agents.create(name="without", scopes=self.scopes)
        agent_id = str(made.id)
        async with self.agent(made.api_key) as agent:
            with self.met(404, "no_delegated_grant", "token", "Agent.request by grant", agent_id=agent_id):
                await agent.request("GET", self.api, grant_id=UNKNOWN)
            facts = {"agent_id": agent_id, "provider_id": "acme"}
            with self.met(404, "no_delegated_grant", "token", "Agent.request by provider", **facts):
                await agent.request("GET", self.api, provider="acme")

    async def test_an_agent_that_says_it_is_another(self):
        async with self.client() as app:
            made = await app.agents.create(name="liar", scopes=self.scopes)
        async with self.agent(made.api_key, caller=UNKNOWN) as agent:
            with self.met(400, "caller_agent_mismatch", "token", "Agent.request"):
                await agent.request("GET", self.api, grant_id=UNKNOWN)
        async with self.agent(made.api_key, caller=str(made.id)) as agent:
            with self.met(404, "no_delegated_grant", "token", "Agent.request by grant", agent_id=str(made.id)):
                await agent.request("GET", self.api, grant_id=UNKNOWN)

    async def test_an_agent_that_may_not_use_what_was_delegated(self):
        async with self.client() as app:
            made = await app.agents.create(name="narrow", scopes={})
            grant = await self.connect(app, user_token=self.user("m-narrow"), agent="narrow")
        code = "agent_scope_not_allowed"
        async with self.agent(made.api_key) as agent:
            with self.met(403, code, "token", "Agent.request", policy_error=code, scopes=["read"], provider_id="acme"):
                await agent.request("GET", self.api, grant_id=grant.grant_id)


class AgentRows(Rows):
    async def test_an_agent_or_a_key_that_is_not_there(self):
        async with self.client() as app:
            made = await app.agents.create(name="there", scopes={})
            for call in ("get", "suspend", "delete", "mint_key", "list_keys"):
                with self.met(404, "agent_not_found", "agents", f"agents.{call}"):
                    await getattr(app.agents, call)(UNKNOWN)
            for call in ("deprecate_key", "undeprecate_key", "revoke_key"):
                with self.met(404, "key_not_found", "agents", f"agents.{call}"):
                    await getattr(app.agents, call)(str(made.id), UNKNOWN)

    async def test_a_name_that_is_taken_and_a_version_that_has_passed(self):
        async with self.client() as app:
            made = await app.agents.create(name="taken", scopes={})
            with self.met(409, "agent_name_exists", "agents", "agents.create"):
                await app.agents.create(name="taken", scopes={})
            await app.agents.update(str(made.id), display_name="Taken")
            with self.met(409, "agent_concurrent_update", "agents", "agents.update"):
                await app.agents.update(str(made.id), scopes={}, expected_version=1)

    async def test_a_key_that_is_the_last_one_revoked_or_one_too_many(self):
        async with self.client() as app:
            made = await app.agents.create(name="ten", scopes={})
            agent_id = str(made.id)
            with self.met(409, "last_active_key", "agents", "agents.revoke_key"):
                await app.agents.revoke_key(agent_id, str(made.key_id))
            keys = [await app.agents.mint_key(agent_id) for _ in range(9)]
            with self.met(409, "agent_key_limit_reached", "agents", "agents.mint_key"):
                await app.agents.mint_key(agent_id)
            await app.agents.revoke_key(agent_id, str(keys[0].key_id))
            with self.met(409, "key_revoked", "agents", "agents.revoke_key"):
                await app.agents.revoke_key(agent_id, str(keys[0].key_id))

    async def test_an_idempotency_key_that_was_used(self):
        async with self.client() as app:
            same = {"scopes": {}, "idempotency_key": "k-1"}
            made = await app.agents.create(name="first", **same)
            with self.met(409, "idempotency_key_body_mismatch", "agents", "agents.create"):
                await app.agents.create(name="second", **same)
            await app.agents.suspend(str(made.id))
            with self.met(409, "idempotency_key_agent_inactive", "agents", "agents.create"):
                await app.agents.create(name="first", **same)
            await app.agents.delete(str(made.id))
            with self.met(409, "idempotency_key_agent_revoked", "agents", "agents.create"):
                await app.agents.create(name="first", **same)


class NotBuilt(Rows):
    @contextlib.contextmanager
    def not_built(self, path):
        """A missing grant would make an app send its user through consent again."""
        with self.assertRaises(Exception) as caught:
            yield
        error = caught.exception
        self.assertEqual(type(error).__name__, "BackendError", repr(error))
        self.assertEqual((error.status_code, error.details["error"]), (501, "not_built"))
        self.assertIn(path, str(error))

    async def test_a_call_that_is_not_built_says_so_and_is_no_missing_grant(self):
        async with self.client() as app:
            with self.not_built("/sdk/proxy"):
                await app.proxy_request("GET", self.api, grant_id=UNKNOWN)
            with self.not_built("/sdk/managed-secrets/connect/session"):
                await app.create_managed_secret_connect_session(provider="acme", user_token="a.b.c")
            with self.not_built("/sdk/keys/{id}"):
                await app.keys.revoke(key_id=UNKNOWN)
            with self.not_built("/sdk/keys/derive"):
                await app.keys.derive(scopes=["grants:read"], expires_in=60)
            with self.not_built("/sdk/scopes"):
                await app.scopes.list()
            with self.not_built("/sdk/approvals"):
                await app.get_approval_status(UNKNOWN)

