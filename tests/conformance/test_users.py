"""Users: sessions with `user_token`, tokens by provider and user, listing and revoking grants."""

import asyncio
import unittest.mock

import harness
from world import UNKNOWN, Case


class Sessions(Case):
    idp = True

    async def test_the_page_names_the_user_and_the_grant_is_the_users(self):
        token = self.user("s-1", name="Robin Example")
        async with self.client() as app:
            session = await app.create_connect_session(user_token=token)
            browser = await asyncio.to_thread(harness.Browser, self.server, session.session_token)
            self.assertIn("Robin Example", await asyncio.to_thread(browser.show))
            await asyncio.to_thread(browser.approve)
            [result] = await app.poll_connect_session(session.session_token, timeout=60, poll_interval=0.1)
            [listed] = (await app.list_grants(end_user_token=token)).grants
        self.assertIsNone(result.delegation)
        self.assertEqual((listed.grant_id, listed.principal_type), (result.grant_id, "user"))

    async def test_the_getter_gives_the_user_of_the_session_of_the_call_and_of_the_list(self):
        async with self.client(user_token_getter=lambda: self.user("s-2")) as app:
            grant = await self.connect(app)
            answer = await app.request("GET", self.api, provider="acme")
            listed = await app.list_grants()
            revoked = await app.revoke_grant(grant.grant_id)
        self.assertEqual(answer.status_code, 200)
        self.assertEqual([item.grant_id for item in listed.grants], [grant.grant_id])
        self.assertTrue(revoked.success)

    async def test_connect_opens_the_page_and_waits_for_the_grant(self):
        def open_page(url):
            token = url.partition("#session=")[2]
            return bool(harness.Browser(self.server, token).approve())

        async with self.client() as app:
            with unittest.mock.patch("webbrowser.open", open_page):
                [grant] = await app.connect(providers=["acme"], timeout=60, poll_interval=0.1)
        self.assertEqual(grant.provider_id, "acme")

    async def test_a_label_of_the_session_is_the_grants(self):
        token = self.user("s-3")
        async with self.client() as app:
            await self.connect(app, user_token=token, requested_grant={"label": "work"})
            [listed] = (await app.list_grants(end_user_token=token)).grants
        self.assertEqual(listed.label, "work")


class ByUser(Case):
    idp = True

    async def test_the_same_account_is_another_grant_for_another_user(self):
        async with self.client() as app:
            grants = {subject: await self.connect(app, user_token=self.user(subject)) for subject in ("u-1", "u-2")}
            self.assertNotEqual(grants["u-1"].grant_id, grants["u-2"].grant_id)
            for subject, grant in grants.items():
                answer = await app.request("GET", self.api, provider="acme", user_token=self.user(subject))
                self.assertEqual(answer.json()["email"], "pat@provider.test")
                again = await app.request("GET", self.api, grant_id=grant.grant_id, user_token=self.user(subject))
                self.assertEqual(again.status_code, 200)

    async def test_account_and_label_choose_among_several(self):
        token = self.user("u-3")
        async with self.client() as app:
            for person, label in (("kim", "home"), ("lee", "work")):
                await self.connect(app, person, user_token=token, requested_grant={"label": label})
            for choice, person in (({"account": "kim@provider.test"}, "kim"), ({"label": "work"}, "lee")):
                answer = await app.request("GET", self.api, provider="acme", user_token=token, **choice)
                self.assertEqual(answer.json()["sub"], person)

    async def test_a_users_grant_by_id_needs_no_user_but_a_setting_may_demand_one(self):
        from alter_sdk.exceptions import PolicyViolationError

        strict = self.world.app("Strict", "--require-user-token", idp=self.world.idp)
        async with self.client() as app, self.client(strict["api_key"]) as strict_app:
            grant = await self.connect(app, user_token=self.user("u-4"))
            self.assertEqual((await app.request("GET", self.api, grant_id=grant.grant_id)).status_code, 200)
            token = self.user("u-5")
            grant = await self.connect(strict_app, user_token=token)
            with self.assertRaises(PolicyViolationError) as caught:
                await strict_app.request("GET", self.api, grant_id=grant.grant_id)
            self.assertEqual(caught.exception.policy_error, "user_token_required")
            allowed = await strict_app.request("GET", self.api, grant_id=grant.grant_id, user_token=token)
        self.assertEqual(allowed.status_code, 200)

    async def test_t74_another_users_grant_looks_like_none(self):
        from alter_sdk.exceptions import GrantNotFoundError

        async with self.client() as app:
            grant = await self.connect(app, user_token=self.user("u-6"))
            stranger, said = self.user("u-7"), []
            for grant_id in (grant.grant_id, UNKNOWN):
                with self.assertRaises(GrantNotFoundError) as caught:
                    await app.request("GET", self.api, grant_id=grant_id, user_token=stranger)
                said.append((caught.exception.details["error"], str(caught.exception)))
        self.assertEqual(said[0], said[1])


class Lists(Case):
    idp = True

    async def test_every_filter_narrows_and_pages_are_pages(self):
        from alter_sdk.exceptions import BackendError

        token = self.user("l-1")
        made = self.world.app("Lists of grants", idp=self.world.idp)
        async with self.client(made["api_key"]) as app:
            own = await self.connect(app)
            kim = await self.connect(app, "kim", user_token=token, requested_grant={"label": "home"})
            lee = await self.connect(app, "lee", user_token=token)
            await app.revoke_grant(lee.grant_id)

            async def found(**filters):
                listed = await app.list_grants(**filters)
                self.assertEqual(listed.total, len(listed.grants))
                return {item.grant_id for item in listed.grants}

            everything = {own.grant_id, kim.grant_id, lee.grant_id}
            self.assertEqual(await found(), everything)
            self.assertEqual(await found(provider_id="acme"), everything)
            self.assertEqual(await found(provider_id="github"), set())
            self.assertEqual(await found(status="revoked"), {lee.grant_id})
            self.assertEqual(await found(status="active"), {own.grant_id, kim.grant_id})
            self.assertEqual(await found(account="kim@provider.test"), {kim.grant_id})
            self.assertEqual(await found(label="home"), {kim.grant_id})
            self.assertEqual(await found(end_user_token=token), {kim.grant_id, lee.grant_id})
            self.assertEqual(await found(end_user_token=token, status="active"), {kim.grant_id})
            self.assertEqual(await found(end_user_token=self.user("l-2")), set(), "a user without a grant")

            pages = [await app.list_grants(limit=2, offset=offset) for offset in (0, 2)]
            self.assertEqual([(page.total, page.has_more, len(page.grants)) for page in pages], [(3, True, 2), (3, False, 1)])
            self.assertEqual({item.grant_id for page in pages for item in page.grants}, everything)
            with self.assertRaises(BackendError):
                await app.list_grants(end_user_token="a.b.c")

    async def test_an_item_says_what_a_backend_needs(self):
        token = self.user("l-3")
        async with self.client() as app:
            grant = await self.connect(app, "kim", user_token=token)
            [item] = (await app.list_grants(end_user_token=token)).grants
        self.assertEqual((item.grant_kind, item.provider_id, item.status), ("oauth", "acme", "active"))
        self.assertEqual((item.access_via, item.scopes, item.delegated_agent_ids), ("ownership", ["read"], []))
        self.assertEqual((item.account_identifier, item.grant_id), ("kim@provider.test", grant.grant_id))
        self.assertFalse(item.needs_reconnect)
        self.assertIsNone(item.grant_expires_at)


class Revokes(Case):
    idp = True

    async def test_a_revoked_grant_gives_no_token_and_revoking_again_tells_the_first_time(self):
        from alter_sdk.exceptions import GrantRevokedError

        async with self.client() as app:
            grant = await self.connect(app)
            first = await app.revoke_grant(grant.grant_id, reason="the account was closed")
            second = await app.revoke_grant(grant.grant_id)
            self.assertTrue(first.success and first.message)
            self.assertEqual((first.grant_id, first.revoked_at), (grant.grant_id, second.revoked_at))
            with self.assertRaises(GrantRevokedError):
                await app.request("GET", self.api, grant_id=grant.grant_id)

    async def test_a_user_revokes_their_own_and_nobody_elses(self):
        from alter_sdk.exceptions import GrantNotFoundError

        async with self.client() as app:
            grant = await self.connect(app, user_token=self.user("r-1"))
        async with self.client(user_token_getter=lambda: self.user("r-2")) as stranger:
            with self.assertRaises(GrantNotFoundError):
                await stranger.revoke_grant(grant.grant_id)
        async with self.client(user_token_getter=lambda: self.user("r-1")) as owner:
            self.assertTrue((await owner.revoke_grant(grant.grant_id)).success)
