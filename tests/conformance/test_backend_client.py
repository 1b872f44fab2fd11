"""The published backend client (alter-sdk 0.29.0, unmodified) against our server; only ALTER_BASE_URL is set."""

import asyncio
import json
from datetime import datetime, timezone
from importlib.metadata import version

import harness
from world import UNKNOWN, Case

class Client(Case):
    def test_it_is_the_published_version(self):
        self.assertEqual(version("alter-sdk"), "0.29.0")


class CreateSession(Case):
    async def test_all_defaults(self):
        async with self.client() as app:
            session = await app.create_connect_session()
        self.assertRegex(session.session_token, r"\Aalter_cs_[A-Za-z0-9]{49}\Z")
        self.assertEqual(session.connect_url, f"{self.server.origin}/sdk/oauth/connect#session={session.session_token}")
        self.assertEqual(session.expires_in, 600)
        left = datetime.fromisoformat(str(session.expires_at)) - datetime.now(timezone.utc)
        self.assertTrue(590 < left.total_seconds() <= 600, left)
        self.assertTrue(session.single_provider)

    async def test_providers_origin_and_return_url(self):
        async with self.client() as app:
            session = await app.create_connect_session(
                allowed_providers=[" ACME "], allowed_origin=harness.SITE, return_url=harness.SITE + "/connected"
            )
        self.assertTrue(session.session_token)

    async def test_an_origin_with_a_slash_is_refused_and_the_answer_says_which_one_to_send(self):
        from alter_sdk.exceptions import BackendError

        async with self.client() as app:
            with self.assertRaises(BackendError) as caught:
                await app.create_connect_session(allowed_origin=harness.SITE + "/")
        self.assertEqual(caught.exception.status_code, 400)
        self.assertEqual(caught.exception.details["error"], "invalid_origin")
        self.assertIn(harness.SITE, str(caught.exception.details))

    async def test_a_foreign_return_url_and_an_unknown_provider_are_refused(self):
        from alter_sdk.exceptions import BackendError

        for arguments, code in [
            ({"return_url": "https://elsewhere.example/"}, "invalid_return_url"),
            ({"allowed_providers": ["nothing-of-this-name"]}, "no_providers"),
        ]:
            with self.subTest(code):
                async with self.client() as app:
                    with self.assertRaises(BackendError) as caught:
                        await app.create_connect_session(**arguments)
                self.assertEqual(caught.exception.details["error"], code)

    async def test_what_is_not_built_is_refused_by_name_and_never_ignored(self):
        from alter_sdk.exceptions import BackendError

        for field, value in [
            ("metadata", {"ip_address": "1.2.3.4"}),
            ("grant_policy", {"max_ttl_seconds": 3600}),
            ("required_scopes", {"acme": ["read"]}),
            ("switch_account", True),
            ("delegable", True),
            ("repair_grant_id", UNKNOWN),
        ]:
            with self.subTest(field):
                async with self.client() as app:
                    with self.assertRaises(BackendError) as caught:
                        await app.create_connect_session(allowed_providers=["acme"], **{field: value})
                self.assertEqual(caught.exception.status_code, 400)
                self.assertEqual(caught.exception.details["error"], "unsupported_field")
                self.assertEqual(caught.exception.details["details"]["field"], field)


class Poll(Case):
    async def test_it_waits_and_then_gives_the_grant(self):
        async with self.client() as app:
            session = await app.create_connect_session()
            polling = asyncio.create_task(app.poll_connect_session(session.session_token, timeout=60, poll_interval=0.1))
            browser = await asyncio.to_thread(harness.Browser, self.server, session.session_token)
            await asyncio.sleep(0.5)
            self.assertFalse(polling.done(), "pending")
            page = await asyncio.to_thread(browser.approve)
            self.assertIn("pat@provider.test", page)
            [result] = await polling
        self.assertEqual(result.provider_id, "acme")
        self.assertEqual(result.account_identifier, "pat@provider.test")
        self.assertEqual(result.scopes, ["read"])

    async def test_connecting_again_keeps_the_grant(self):
        async with self.client() as app:
            first, second = await self.connect(app), await self.connect(app)
        self.assertEqual(first.grant_id, second.grant_id)
        self.assertEqual(str(second.operation), "reauth")

    async def test_a_refusal_at_the_provider_and_on_our_page_is_a_denial(self):
        from alter_sdk.exceptions import ConnectDeniedError

        for where in ["provider", "page"]:
            with self.subTest(where):
                self.provider.deny = where == "provider"
                async with self.client() as app:
                    session = await app.create_connect_session()
                    browser = await asyncio.to_thread(harness.Browser, self.server, session.session_token)
                    await asyncio.to_thread(browser.approve if where == "provider" else lambda: browser.step("cancel"))
                    with self.assertRaises(ConnectDeniedError):
                        await app.poll_connect_session(session.session_token, timeout=60, poll_interval=0.1)

    async def test_nobody_came_is_a_timeout_and_an_unknown_token_an_error_at_once(self):
        from alter_sdk.exceptions import ConnectTimeoutError, GrantNotFoundError

        async with self.client() as app:
            session = await app.create_connect_session()
            with self.assertRaises(ConnectTimeoutError):
                await app.poll_connect_session(session.session_token, timeout=1, poll_interval=0.2)
            with self.assertRaises(GrantNotFoundError) as caught:  # how this client names any 404
                await app.poll_connect_session("alter_cs_" + "a" * 49, timeout=60, poll_interval=0.2)
        self.assertEqual(caught.exception.details["error"], "invalid_token")

    async def test_t72_another_apps_session_looks_like_none(self):
        from alter_sdk.exceptions import GrantNotFoundError

        other = self.world.app("Other")
        async with self.client() as app, self.client(other["api_key"]) as stranger:
            session = await app.create_connect_session()
            with self.assertRaises(GrantNotFoundError) as caught:
                await stranger.poll_connect_session(session.session_token, timeout=60, poll_interval=0.2)
        self.assertEqual(caught.exception.details["error"], "invalid_token")


class Request(Case):
    async def test_a_call_reaches_the_provider_with_the_released_token(self):
        async with self.client() as app:
            grant = await self.connect(app)
            answer = await app.request(
                "GET", f"{self.provider.origin}/v1/things", grant_id=grant.grant_id, query_params={"page": "2"},
                reason="conformance", context={"tool": "t"},
            )
        self.assertEqual(answer.json()["email"], "pat@provider.test")
        path, headers = self.provider.api_calls[-1]
        self.assertEqual(path, "/v1/things?page=2")
        self.assertRegex(headers["Authorization"], r"\ABearer [0-9a-f]{32}\Z")
        self.assertNotIn("x-api-key", {name.lower() for name in headers})

    async def test_a_caller_is_signed_and_accepted(self):
        from alter_sdk import App

        async with App(api_key=self.made["api_key"], caller="billing-cron") as app:
            grant = await self.connect(app)
            answer = await app.request("GET", f"{self.provider.origin}/v1/me", grant_id=grant.grant_id)
        self.assertEqual(answer.status_code, 200)

    async def test_t81_no_token_is_released_for_another_host(self):
        from alter_sdk.exceptions import BlockedDestinationError

        async with self.client() as app:
            grant = await self.connect(app)
            before = len(self.provider.api_calls)
            for url in ["https://evil.example/", self.provider.origin.replace("127.0.0.1", "localhost") + "/v1/me"]:
                with self.subTest(url), self.assertRaises(BlockedDestinationError):
                    await app.request("GET", url, grant_id=grant.grant_id)
        self.assertEqual(len(self.provider.api_calls), before)

    async def test_t72_unknown_and_foreign_grants_are_both_not_found(self):
        from alter_sdk.exceptions import GrantNotFoundError

        other = self.world.app("Other too")
        said = []
        async with self.client() as app, self.client(other["api_key"]) as stranger:
            grant = await self.connect(app)
            for grant_id in [UNKNOWN, grant.grant_id]:
                with self.assertRaises(GrantNotFoundError) as caught:
                    await stranger.request("GET", f"{self.provider.origin}/v1/me", grant_id=grant_id)
                said.append((caught.exception.details["error"], str(caught.exception)))
        self.assertEqual(said[0], said[1])
        self.assertEqual(said[0][0], "grant_not_found")

    async def test_the_clients_own_report_of_the_call_is_taken_and_our_own_audit_does_not_depend_on_it(self):
        before = len(self.server.requests("/sdk/oauth/audit/api-call"))
        async with self.client() as app:
            grant = await self.connect(app, "reporter")
            await app.request("GET", f"{self.provider.origin}/v1/me", grant_id=grant.grant_id)
            large = {"note": "x" * 70_000}
            await app.request("POST", f"{self.provider.origin}/v1/me", grant_id=grant.grant_id, json=large)
        answers = self.server.requests("/sdk/oauth/audit/api-call", before, 2)
        self.assertEqual(sorted(answers, key=str), [(202, None), (413, "body_too_large")])
        which = ("--kind", "call_reported", "--grant", grant.grant_id)
        [kept] = self.server.cli("audit", "list", self.made["app_id"], *which)["entries"]
        details = kept["details"] if isinstance(kept["details"], dict) else json.loads(kept["details"])
        self.assertEqual(set(details), {"method", "host", "status", "latency_ms"})


class VerifyUser(Case):
    async def test_a_sound_token_is_its_user_and_any_other_is_nobody(self):
        idp = harness.IdentityProvider()
        self.addCleanup(idp.stop)
        made = self.world.app("Users")
        async with self.client(made["api_key"]) as app:
            self.assertIsNone(await app.verify_user_token(idp.token()), "no identity provider yet")
            found = self.server.cli("idp", "set", made["app_id"], "--issuer", idp.origin, "--audience", "conformance")
            self.assertEqual((found["keys"], found["warning"]), (1, None))
            self.assertEqual(await app.verify_user_token(idp.token()), "user-1")
            for token in (idp.token(aud="another"), idp.token(exp=1), idp.token(sub=""), idp.token()[:-4] + "AAAA", "a.b.c"):
                self.assertIsNone(await app.verify_user_token(token))
            self.assertEqual(await app.verify_user_token(idp.token(sub="user-2")), "user-2", "still")
        answers = self.server.requests("/sdk/auth/verify-token", count=8)
        refused = [(401, "jwt_validation_error")] * 5
        self.assertEqual(answers, [(400, "idp_not_configured"), (200, None), *refused, (200, None)])


class Keys(Case):
    async def test_a_wrong_key_is_an_invalid_key(self):
        from alter_sdk.exceptions import InvalidKeyError

        async with self.client("alter_rk_abcdefghijklmnopqrstuv_iwpykn") as app:
            with self.assertRaises(InvalidKeyError):
                await app.create_connect_session()
            with self.assertRaises(InvalidKeyError):
                await app.request("GET", f"{self.provider.origin}/", grant_id=UNKNOWN)

    async def test_a_second_key_works_and_a_revoked_one_does_not(self):
        from alter_sdk.exceptions import KeyRevokedError

        made = self.server.cli("key", "create", self.made["app_id"])
        async with self.client(made["api_key"]) as app:
            self.assertTrue((await app.create_connect_session()).session_token)
            self.server.cli("key", "revoke", self.made["app_id"], made["key_id"])
            with self.assertRaises(KeyRevokedError):
                await app.create_connect_session()
        async with self.client() as app:
            self.assertTrue((await app.create_connect_session()).session_token, "the first key is untouched")


class Load(Case):
    async def test_twenty_calls_at_once_have_twenty_nonces(self):
        async with self.client() as app:
            grant = await self.connect(app)
            url = f"{self.provider.origin}/v1/me"
            answers = await asyncio.gather(*(app.request("GET", url, grant_id=grant.grant_id) for _ in range(20)))
        self.assertEqual({answer.status_code for answer in answers}, {200})


class Catalog(Case):
    async def test_the_catalog_has_the_apps_own_provider_and_those_that_could_be_configured(self):
        async with self.client() as app:
            listed = (await app.oauth_providers.list()).providers
        self.assertEqual(listed["acme"].status, "configured")
        self.assertEqual(listed["github"].status, "available")
        self.assertIn("openid", listed["google"].available_scopes)

    async def test_an_agent_reads_the_catalog_too(self):
        async with self.client() as app:
            made = await app.agents.create(name="reader", scopes={})
        async with self.agent(made.api_key) as agent:
            self.assertEqual((await agent.oauth_providers.list()).providers["acme"].status, "configured")
