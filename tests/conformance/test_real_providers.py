"""Refreshing at other people's servers: two certified OpenID providers (npm `oidc-provider`), with and without rotation,
and Authlib's authorization server with rotation. The published client calls through several lives of an access token,
and no call fails."""

import asyncio
import json
import os
import pathlib
import subprocess
import time

import harness
from authlib_provider import AuthlibProvider
from world import Case

# The client of tests/e2e/harness/oidc-provider.mjs.
CLIENT_ID, CLIENT_SECRET = "alter-e2e", "a-secret-that-only-the-tests-know-0123456789"
# Seconds that an access token lives. It is released with at least a third of them left; on a busy machine the client
# needs some of these to call the provider.
LIFE = int(os.environ.get("REFRESH_LIFE", "6"))
LIVES = int(os.environ.get("REFRESH_LIVES", "3"))  # 60 lives of 60 seconds: an hour


class OidcProviders:
    """The Node process with both OpenID providers."""

    def __init__(self):
        script = pathlib.Path(__file__).with_name("oidc_providers.mjs")
        self.process = subprocess.Popen(
            ["node", str(script), str(LIFE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.issuers = self._read()

    def ask(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self):
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


class Refreshing(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.oidc, cls.authlib = OidcProviders(), AuthlibProvider(LIFE)
        cls.addClassCleanup(cls.oidc.stop)
        cls.addClassCleanup(cls.authlib.stop)
        flags = ("--website-url", harness.SITE, "--sessions-per-minute-and-user", "0")
        cls.made = cls.server.app("Refreshing", cls.authlib, *flags)
        for name, issuer in cls.oidc.issuers.items():
            configured = cls.server.cli(
                "provider", "set", cls.made["app_id"], name, "--client-id", CLIENT_ID, "--client-secret-stdin",
                "--issuer", issuer, "--scopes", "openid email", "--api-host", issuer.removeprefix("http://"),
                secret=CLIENT_SECRET,
            )
            cls.oidc.ask("register", name, configured["callback_url"])

    async def test_no_call_fails_where_refresh_tokens_rotate_and_where_they_stay(self):
        await asyncio.gather(*(self.at_oidc(name) for name in self.oidc.issuers), self.at_authlib())

    async def at_oidc(self, name):
        async with self.client() as app:
            session = await app.create_connect_session(allowed_providers=[name])
            await asyncio.to_thread(self.agree, session, name)
            calls = await self.call_through_lives(app, session, self.oidc.issuers[name] + "/me")
        self.check(name, calls, self.oidc.ask("refreshes", name))

    async def at_authlib(self):
        async with self.client() as app:
            session = await app.create_connect_session(allowed_providers=["acme"])
            await self.approve(session)
            calls = await self.call_through_lives(app, session, self.authlib.origin + "/v1/things")
        self.check("authlib", calls, self.authlib.refreshes)

    async def call_through_lives(self, app, session, url):
        [grant] = await app.poll_connect_session(session.session_token, timeout=60, poll_interval=0.1)
        calls, end = 0, time.monotonic() + LIFE * LIVES
        while time.monotonic() < end:
            answers = await asyncio.gather(*(app.request("GET", url, grant_id=grant.grant_id) for _ in range(3)))
            self.assertEqual([answer.status_code for answer in answers], [200] * 3)
            calls += len(answers)
            await asyncio.sleep(0.1)
        return calls

    def check(self, name, calls, refreshes):
        print(f"{name}: {calls} calls, {refreshes['granted']} refreshes.", end=" ", flush=True)
        self.assertEqual(refreshes["refused"], 0)
        # A token is renewed in the second half of its life.
        self.assertGreaterEqual(refreshes["granted"], LIVES - 1)

    def agree(self, session, name):
        """A person approves on our page, logs in and consents at the OpenID provider, and comes back."""
        browser = harness.Browser(self.server, session.session_token)
        browser.status()
        browser.client.follow_redirects = True
        login = browser.client.get(browser.step("approve", provider=name)["location"])
        consent = browser.client.post(login.url, data={"prompt": "login", "login": "pat", "password": "anything"})
        back = browser.client.post(consent.url, data={"prompt": "consent"})
        assert str(back.url).startswith(self.server.origin) and back.status_code == 200, (back.url, back.text)
