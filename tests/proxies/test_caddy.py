"""deploy/Caddyfile and deploy/Caddyfile.compose: their limits, and to whom they send what."""

import os
import subprocess
import tempfile
import threading

import harness
from backends import Backend
from case import Case, Recipe
from proxies import DEPLOY, Caddy, OneCaddy, needs

CALLS = [("POST", "/sdk/token"), ("PATCH", "/sdk/agents/1"), ("DELETE", "/sdk/agents/1"), ("GET", "/sdk/agents")]


class Shipped(Case):
    @needs("caddy")
    def test_the_files_are_valid_as_shipped(self):
        for name in ("Caddyfile", "Caddyfile.compose"):
            with self.subTest(name), tempfile.TemporaryDirectory() as home:
                command = ["caddy", "validate", "--config", DEPLOY / name, "--adapter", "caddyfile"]
                done = subprocess.run(command, env={"PATH": os.environ["PATH"], "HOME": home}, capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stderr)


@needs("caddy")
class ComposeRecipe(Recipe, Case):
    proxy, replicated, never_again, most = Caddy, True, CALLS, 1_000_000


@needs("caddy")
class OneServerRecipe(Recipe, Case):
    proxy, replicated, never_again, most = OneCaddy, False, CALLS, 1_000_000

    def test_while_the_server_restarts_a_request_waits(self):
        port = harness.free_port()
        proxy = self.started(self.proxy([port]))
        answers = []
        asking = threading.Thread(target=lambda: answers.append(proxy.client().get("/sdk/agents").status_code))
        asking.start()
        asking.join(0.5)
        self.assertEqual(answers, [])
        self.started(Backend("answer", port))
        asking.join(60)
        self.assertEqual(answers, [200])
