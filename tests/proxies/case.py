"""What every recipe must do, whichever proxy it is for."""

import contextlib
import unittest

import harness
from backends import Backend
from proxies import HOST, raw

SECRET = "canary-code-4f1c"
# The largest body that the server takes.
TAKEN = 256 * 1024


class Case(unittest.TestCase):
    def setUp(self):
        self.cleaning = contextlib.ExitStack()
        self.addCleanup(self.cleaning.close)

    def started(self, thing):
        self.cleaning.callback(thing.stop)
        return thing


class Recipe:
    """Mixed into a `Case`, which says what `proxy` is, and which methods `never_again` go to a second server, and the
    longest body that goes on."""

    most = TAKEN

    def test_what_was_sent_is_not_sent_again(self):
        closing = [self.started(Backend("close")) for _ in range(2)]
        proxy = self.started(self.proxy([backend.port for backend in closing]))
        for backend in closing:
            backend.came.clear()
        client = proxy.client()
        for method, path in self.never_again:
            answer = client.send(method, path, content=b"" if method == "GET" else b"{}")
            self.assertEqual(answer.status_code, 502)
            came = [request for backend in closing for request in backend.came]
            self.assertEqual(came.count((method, path)), 1, came)

    def test_the_host_goes_on_as_it_came_and_no_log_has_a_query(self):
        backend = self.started(Backend("answer"))
        gone = harness.free_port()
        proxy = self.started(self.proxy([backend.port, gone] if self.replicated else [backend.port]))
        client = proxy.client()
        for _ in range(4):
            self.assertEqual(client.get(f"/oauth/callback/x?code={SECRET}").status_code, 200)
        self.assertIn(("GET", f"/oauth/callback/x?code={SECRET}"), backend.came)
        # And when it fails: both are gone now.
        backend.manner = "close"
        self.assertEqual(client.get(f"/oauth/callback/x?code={SECRET}").status_code, 502)
        proxy.process.terminate()
        proxy.process.wait(20)
        written = proxy.written()
        self.assertIn("/oauth/callback/x", written)
        self.assertNotIn(SECRET, written)

    def test_what_the_server_sent_plain_stays_plain(self):
        backend = self.started(Backend("page"))
        proxy = self.started(self.proxy([backend.port, backend.port] if self.replicated else [backend.port]))
        answer = proxy.client().get("/connect/s/x", headers={"Accept-Encoding": "gzip"})
        self.assertEqual((answer.status_code, len(answer.content)), (200, 3000))
        self.assertNotIn("Content-Encoding", answer.headers)

    def test_a_page_that_waits_is_answered_after_25_seconds_and_one_that_leaves_is_let_go_of(self):
        """The longest wait of a status call, and what the server needs to give a place back."""
        backend = self.started(Backend("wait"))
        proxy = self.started(self.proxy([backend.port]))
        with raw(proxy.port, "127.0.0.9") as leaving:
            leaving.sendall(f"GET /connect/status?leaves HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            backend.until(lambda: len(backend.came) == 1)
        backend.until(lambda: backend.left == ["/connect/status?leaves"])
        self.assertEqual(proxy.client().post("/connect/status", content=b"{}").status_code, 200)
        self.assertEqual(len(backend.came), 2, "asked once")

    def test_a_body_that_is_too_large_is_refused(self):
        backend = self.started(Backend("answer"))
        proxy = self.started(self.proxy([backend.port]))
        self.assertEqual(proxy.client().post("/sdk/token", content=b"a" * TAKEN).status_code, 200)
        backend.came.clear()
        # Caddy's word for it differs from version to version.
        refused = proxy.client().post("/sdk/token", content=b"a" * (self.most + 1)).status_code
        self.assertIn(refused, (413, 502) if self.most > TAKEN else (413,))
        self.assertEqual(backend.came, [])
