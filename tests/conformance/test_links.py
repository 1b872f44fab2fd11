"""Apps without a page: `connect` and `authenticate` open a browser, and the person signs in at the app's identity provider."""

import unittest.mock

import harness
from world import Case


class Links(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        idp, server = cls.world.idp, cls.server
        cls.made = server.app("Conformance tool", cls.provider, "--allow-auth-sessions")
        made = server.cli(
            "idp", "set", cls.made["app_id"], "--issuer", idp.origin, "--audience", "conformance",
            "--client-id", harness.SIGN_IN_CLIENT, "--client-secret-stdin", secret=harness.CLIENT_SECRET,
        )
        assert made["callback_url"].startswith(server.origin), made

    def opens(self, person, *steps):
        """What `webbrowser.open` does in these tests: `person` is signed in at the identity provider."""
        self.pages = []

        def open_page(url):
            self.world.idp.person = person
            browser = harness.LinkBrowser(self.server, url)
            self.pages.append(browser.show())
            for verb, fields in steps:
                self.pages.append(browser.through(verb, **fields))
            return True

        return unittest.mock.patch("webbrowser.open", open_page)

    async def test_connect_without_a_page_makes_a_grant_of_the_user_who_signs_in(self):
        steps = ("sign-in", {}), ("approve", {"provider": "acme"})
        async with self.client(user_token_getter=lambda: self.user("l-1")) as app:
            with self.opens("l-1", *steps):
                [grant] = await app.connect(providers=["acme"], timeout=60, poll_interval=0.1)
            answer = await app.request("GET", self.api, provider="acme")
        self.assertIn("Sign in to", self.pages[0])
        self.assertEqual((grant.provider_id, answer.status_code), ("acme", 200))

    async def test_somebody_else_who_opens_the_link_connects_nothing(self):
        from alter_sdk.exceptions import ConnectTimeoutError

        async with self.client(user_token_getter=lambda: self.user("l-2")) as app:
            with self.opens("l-3", ("sign-in", {})):
                with self.assertRaises(ConnectTimeoutError):
                    await app.connect(providers=["acme"], timeout=1, poll_interval=0.1)
            self.assertEqual((await app.list_grants()).grants, [])
        self.assertIn("You are not the one who started this", self.pages[1])

    async def test_authenticate_gets_the_token_of_the_user_and_calls_with_it(self):
        async with self.client() as app:
            with self.opens("l-4", ("sign-in", {})):
                result = await app.authenticate(timeout=60)
            self.assertEqual(result.user_info["sub"], "l-4")
            self.assertEqual(await app.verify_user_token(result.user_token), "l-4")
            self.assertEqual((await app.list_grants()).grants, [], "the client calls with that user from now on")
        self.assertIn("Did you start this yourself, just now?", self.pages[0])

    async def test_a_token_is_released_once(self):
        from alter_sdk.exceptions import AlterSDKError

        async with self.client() as app:
            session = await app.create_auth_session()
            self.world.idp.person = "l-5"
            harness.LinkBrowser(self.server, session.auth_url).through("sign-in")
            result = await app.poll_auth_session(session.session_token, timeout=60)
            self.assertEqual(result.user_info["sub"], "l-5")
            with self.assertRaisesRegex(AlterSDKError, "released before"):
                await app.poll_auth_session(session.session_token, timeout=60)

    async def test_an_app_that_does_not_allow_it_says_so(self):
        from alter_sdk.exceptions import AlterSDKError

        other = self.server.app("Conformance without", self.provider)
        async with self.client(other["api_key"]) as app:
            with self.assertRaisesRegex(AlterSDKError, "--allow-auth-sessions"):
                await app.create_auth_session()
