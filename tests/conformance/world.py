"""What all tests share for one run: a server on one database, a provider, an identity provider, an app."""

import asyncio
import atexit
import logging
import os
import pathlib
import tempfile
import unittest

import certifi

import harness
import postgres

ENGINES = ("sqlite", "postgres")
UNKNOWN = "11111111-2222-4333-8444-555555555555"


def one_authority():
    """A file with a single certificate authority. Nothing here is https, yet each client reads every authority twice,
    which took half of a run's time."""
    first = pathlib.Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")
    with tempfile.NamedTemporaryFile("w", prefix="alter-conformance-ca-", delete=False) as file:
        file.write(first[0] + first[1] + "\n")
    atexit.register(os.unlink, file.name)
    return file.name


class World:
    """One run. The published client has no argument for the server's address, only ALTER_BASE_URL."""

    def __init__(self, engine):
        self.engine = engine
        self.cluster = postgres.Cluster() if engine == "postgres" else None
        self.provider, self.idp = harness.Provider(), harness.IdentityProvider()
        self.server = harness.Server(self.cluster.url if self.cluster else None)
        os.environ["ALTER_BASE_URL"] = self.server.origin
        os.environ["SSL_CERT_FILE"] = one_authority()
        # The client warns of plain http on loopback and of slow callbacks; here both are expected.
        logging.getLogger("alter_sdk").setLevel(logging.CRITICAL)
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        self.made = self.app("Conformance")
        self.with_users = self.app("Conformance with users", idp=self.idp)

    def app(self, name, *flags, idp=None):
        """An app with its provider; with `idp`, its users have an identity provider. No limit on what tests mint."""
        flags = ("--website-url", harness.SITE, "--sessions-per-minute-and-user", "0", *flags)
        made = self.server.app(name, self.provider, *flags)
        if idp:
            self.server.cli("idp", "set", made["app_id"], "--issuer", idp.origin, "--audience", "conformance")
        return made

    def stop(self):
        self.server.stop()
        self.provider.stop()
        self.idp.stop()
        if self.cluster:
            self.cluster.stop()


class Case(unittest.IsolatedAsyncioTestCase):
    """All classes share two apps, one of them with an identity provider (`idp`). So each test gives its subjects and
    agents names of their own, and a test that counts makes its own app."""

    world = None  # set for each run
    idp = False

    @classmethod
    def setUpClass(cls):
        cls.server, cls.provider = cls.world.server, cls.world.provider
        cls.made = cls.world.with_users if cls.idp else cls.world.made

    def setUp(self):
        self.provider.deny, self.provider.person, self.provider.life = False, "pat", 3600

    @property
    def api(self):
        return self.provider.origin + "/v1/things"

    def client(self, key=None, **more):
        from alter_sdk import App  # after ALTER_BASE_URL is set

        return App(api_key=key or self.made["api_key"], **more)

    def agent(self, key, **more):
        from alter_sdk import Agent

        return Agent(api_key=key, **more)

    def user(self, subject, **claims):
        return self.world.idp.token(sub=subject, **claims)

    async def approve(self, session, person="pat"):
        """A person in a browser says yes, with an account at the provider."""
        self.provider.person = person
        return await asyncio.to_thread(lambda: harness.Browser(self.server, session.session_token).approve())

    async def connect(self, app, person="pat", **wanted):
        session = await app.create_connect_session(**wanted)
        await self.approve(session, person)
        [result] = await app.poll_connect_session(session.session_token, timeout=60, poll_interval=0.1)
        return result
