"""A client that a published generator makes from the contract, with httpx's own hook for signing, against a real server.
The tests run the very commands of docs/reference/signing.md."""

import contextlib
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from importlib.metadata import version

import alter_signing
import harness
import httpx

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(sys.executable).parent
VECTORS = ROOT / "crates/signing/tests/vectors/hmac_vectors.json"
UNKNOWN = "11111111-2222-4333-8444-555555555555"


def blocks(language):
    text = (ROOT / "docs/reference/signing.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


class Signing(unittest.TestCase):
    def test_the_hook_of_the_page_signs_the_published_vectors(self):
        file = json.loads(VECTORS.read_text())
        fixed = {"x-alter-timestamp": file["timestamp"], "x-alter-nonce": file["nonce"]}
        for vector in file["vectors"]:
            with self.subTest(vector["name"]):
                headers = {name.lower(): value for name, value in vector["extra_headers_signed"].items()}
                headers |= fixed | {"x-alter-scope-constraints": vector["scope_constraints"]}
                headers |= {"x-alter-request-rule": vector["request_rule"]}
                call = vector["method"], vector["path_as_built"], headers, (vector["body_utf8"] or "").encode()
                self.assertEqual(alter_signing.string_to_sign(*call), vector["string_to_sign"])
                signature = alter_signing.sign(file["api_key"], *call)
                self.assertEqual(signature, vector["emitted_headers"]["X-Alter-Signature"])


class GeneratedClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cleaning = contextlib.ExitStack()
        cls.addClassCleanup(cleaning.close)
        cls.provider = harness.Provider()
        cleaning.callback(cls.provider.stop)
        cls.server = harness.Server()
        cleaning.callback(cls.server.stop)
        cls.made = cls.server.app("Generated", cls.provider, "--website-url", harness.SITE)
        cls.dir = cleaning.enter_context(tempfile.TemporaryDirectory(prefix="alter-generated-"))
        cls.generate()
        sys.path.insert(0, cls.dir)
        cleaning.callback(sys.path.remove, cls.dir)

    @classmethod
    def generate(cls):
        """Runs the page's own commands, except the first one: it installs a package that is installed already."""
        [typed] = blocks("sh")
        install, *commands = typed.strip().splitlines()
        assert install == "pip install openapi-python-client==" + version("openapi-python-client"), install
        script = "\n".join(commands).replace("https://connect.example.com", cls.server.origin)
        path = f"{BIN}:{os.environ['PATH']}"
        subprocess.run(["sh", "-ec", script], cwd=cls.dir, env={**os.environ, "PATH": path}, check=True, capture_output=True)

    def client(self, key=None):
        from alter_client import AuthenticatedClient

        key = key or self.made["api_key"]
        return AuthenticatedClient(
            self.server.origin, token=key, prefix="", auth_header_name="x-api-key", raise_on_unexpected_status=True,
            httpx_args={"auth": alter_signing.Signed(key)},
        )

    def connect(self, client):
        """Mints a session, lets a person approve it, and polls: the session and its only grant."""
        from alter_client.api.sessions import create_session, poll_session
        from alter_client.models import CreatedSession, CreateSession, PolledSession, PollSession, PollStatus

        session = create_session.sync(client=client, body=CreateSession(allowed_providers=["acme"]))
        self.assertIsInstance(session, CreatedSession)
        harness.Browser(self.server, session.session_token).approve()
        polled = poll_session.sync(client=client, body=PollSession(session_token=session.session_token))
        self.assertIsInstance(polled, PolledSession)
        self.assertIs(polled.status, PollStatus.COMPLETED)
        [grant] = polled.grants
        return session, grant

    def test_the_generated_client_has_every_operation_of_the_contract(self):
        document = json.loads((ROOT / "contract/openapi.json").read_text())
        wanted = {operation["operationId"] for item in document["paths"].values() for operation in item.values()}
        files = pathlib.Path(self.dir, "alter_client/api").glob("*/*.py")
        self.assertEqual({file.stem for file in files} - {"__init__"}, wanted)

    def test_the_program_of_the_page_runs_as_it_is_written(self):
        self.connect(self.client())
        [program] = blocks("python")
        pathlib.Path(self.dir, "program.py").write_text(program)
        shutil.copy(alter_signing.__file__, self.dir)
        env = {**os.environ, "ALTER_BASE_URL": self.server.origin, "ALTER_API_KEY": self.made["api_key"]}
        done = subprocess.run([sys.executable, "program.py"], cwd=self.dir, env=env, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"connect: {self.server.origin}/sdk/oauth/connect#session=alter_cs_", done.stdout)
        self.assertIn("grant: acme pat@provider.test active", done.stdout)

    def test_a_session_is_minted_and_its_grant_is_listed_used_and_revoked(self):
        from alter_client.api.grants import list_grants, revoke_grant
        from alter_client.api.tokens import report_call, retrieve_token
        from alter_client.models import (
            BindingLevel, GrantStatus, ListGrants, Operation, PrincipalType, ReportedCall, RetrievedToken, RetrieveToken,
            RevokeGrantBody, WantedFor,
        )

        client = self.client()
        session, grant = self.connect(client)
        left = session.expires_at - datetime.datetime.now(datetime.timezone.utc)
        self.assertTrue(0 < left.total_seconds() <= session.expires_in == 600, left)
        self.assertIn(grant.operation, (Operation.CREATION, Operation.REAUTH))

        page = list_grants.sync(client=client, body=ListGrants(provider_id="acme", status="active"))
        [listed] = [item for item in page.grants if item.grant_id == grant.grant_id]
        self.assertEqual((listed.status, listed.principal_type), (GrantStatus.ACTIVE, PrincipalType.SYSTEM))
        self.assertEqual((listed.binding, listed.scopes), (BindingLevel.L2, ["read"]))
        self.assertIsInstance(listed.created_at, datetime.datetime)
        self.assertIsNone(listed.revoked_at)

        url = self.provider.origin + "/v1/things"
        wanted = RetrieveToken(grant_id=grant.grant_id, request=WantedFor(method="GET", url=url))
        # With an identity header, which the hook signs too.
        token = retrieve_token.sync(client=client, body=wanted, x_alter_caller="night-job")
        self.assertIsInstance(token, RetrievedToken)
        header = {token.injection_header: token.injection_format.replace("{token}", token.access_token)}
        self.assertEqual(httpx.get(url, headers=header).status_code, 200)
        report = ReportedCall(grant_id=grant.grant_id, method="GET", url=url, response_status=200, latency_ms=3)
        self.assertEqual(report_call.sync_detailed(client=client, body=report).status_code, 202)

        revoked = revoke_grant.sync(grant.grant_id, client=client, body=RevokeGrantBody(reason="over"))
        self.assertEqual((revoked.success, revoked.grant_id), (True, grant.grant_id))
        page = list_grants.sync(client=client, body=ListGrants(status="revoked"))
        self.assertIn(grant.grant_id, [item.grant_id for item in page.grants])

    def test_what_is_refused_is_an_error_body_with_its_code(self):
        from alter_client.api.agents import get_own_agent
        from alter_client.api.grants import revoke_grant
        from alter_client.api.sessions import create_session
        from alter_client.models import CreateSession, ErrorBody, RevokeGrantBody

        client = self.client()
        foreign = self.client("alter_rk_abcdefghijklmnopqrstuv_iwpykn")
        for code, refused in {
            "grant_not_found": revoke_grant.sync(UNKNOWN, client=client, body=RevokeGrantBody()),
            "no_providers": create_session.sync(client=client, body=CreateSession(allowed_providers=["nobody"])),
            "me_requires_agent_key": get_own_agent.sync(client=client),
            "invalid_key": create_session.sync(client=foreign, body=CreateSession()),
        }.items():
            with self.subTest(code):
                self.assertIsInstance(refused, ErrorBody)
                self.assertEqual(refused.error, code)

    def test_paths_queries_and_bodies_of_agents_are_signed_as_they_are_sent(self):
        from alter_client.api.agent_keys import create_agent_key, list_agent_keys, revoke_agent_key
        from alter_client.api.agents import create_agent, get_own_agent, list_agents, update_agent
        from alter_client.models import (
            AgentStatus, AgentType, ChangeAgent, ChangeAgentScopesType0, CreateAgent, ErrorBody, NoFields,
        )

        client, wanted = self.client(), CreateAgent(name="night & day, 50 %", type_=AgentType.SERVICE)
        made = create_agent.sync(client=client, body=wanted, idempotency_key="once")
        again = create_agent.sync(client=client, body=wanted, idempotency_key="once")
        self.assertEqual((made.id, again.api_key), (again.id, None))
        own = get_own_agent.sync(client=self.client(made.api_key))
        self.assertEqual((own.id, own.type_, own.status), (made.id, AgentType.SERVICE, AgentStatus.ACTIVE))
        found = list_agents.sync(client=client, limit=5, include_revoked=False, name="night & day, 50 %")
        self.assertEqual([agent.id for agent in found.items], [made.id])

        scopes = ChangeAgentScopesType0.from_dict({"acme": ["read"]})
        change = ChangeAgent(status="inactive", scopes=scopes)
        changed = update_agent.sync(made.id, client=client, body=change, expected_version=own.version)
        self.assertIs(changed.status, AgentStatus.INACTIVE)
        moved = update_agent.sync(made.id, client=client, body=change, expected_version=own.version)
        self.assertIsInstance(moved, ErrorBody)
        self.assertEqual(moved.error, "agent_concurrent_update")

        key = create_agent_key.sync(made.id, client=client, body=NoFields())
        self.assertTrue(key.api_key.startswith("alter_ak_"))
        revoke_agent_key.sync(made.id, key.key_id, client=client)
        last = revoke_agent_key.sync(made.id, made.key_id, client=client)
        self.assertEqual(last.error, "last_active_key")
        revoke_agent_key.sync(made.id, made.key_id, client=client, force=True)
        keys = list_agent_keys.sync(made.id, client=client).items
        self.assertTrue(all(isinstance(key.revoked_at, datetime.datetime) for key in keys), keys)
