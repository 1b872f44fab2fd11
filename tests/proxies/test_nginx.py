"""deploy/nginx.conf: its limits, and to whom it sends what."""

import concurrent.futures
import re
import select

import harness
from backends import Backend
from case import Case, Recipe
from proxies import HOST, Nginx, needs, raw

REQUEST = f"GET %s HTTP/1.1\r\nHost: {HOST}\r\n\r\n"


def statuses(answers):
    """The status of each of several answers, one after the other."""
    return [int(status) for status in re.findall(r"HTTP/1\.1 (\d+) ", answers)]


def pipelined(proxy, source, path, count):
    """Sends so many requests at once over one connection, and returns the statuses."""
    connection = raw(proxy.port, source)
    last = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    connection.sendall(((REQUEST % path) * (count - 1) + last).encode())
    answers = b""
    while part := connection.recv(65536):
        answers += part
    return statuses(answers.decode())


@needs("nginx")
class NginxRecipe(Recipe, Case):
    proxy, replicated = Nginx, True
    never_again = [("POST", "/sdk/token"), ("PATCH", "/sdk/agents/1")]

    def test_a_server_that_is_down_costs_no_request(self):
        backend = self.started(Backend("answer"))
        proxy = self.started(self.proxy([harness.free_port(), backend.port]))
        client = proxy.client()
        for _ in range(20):
            self.assertEqual(client.post("/sdk/token", content=b"{}").status_code, 200)

    def test_a_burst_from_one_address_gets_429_and_nobody_else_does(self):
        backend = self.started(Backend("answer"))
        proxy = self.started(self.proxy([backend.port]))
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            bursts = [threads.submit(pipelined, proxy, "127.0.0.9", "/connect/notice/open", 250) for _ in range(4)]
            got = [status for burst in bursts for status in burst.result()]
        self.assertEqual(set(got), {200, 429})
        self.assertGreaterEqual(got.count(200), 200, "a page with its script and its questions")
        # A backend's calls have a limit of their own, and another address has its own.
        self.assertEqual(proxy.client("127.0.0.9").post("/sdk/token", content=b"{}").status_code, 200)
        self.assertEqual(proxy.client("127.0.0.10").get("/connect/notice/open").status_code, 200)

    def test_calls_have_a_limit_far_above(self):
        backend = self.started(Backend("answer"))
        proxy = self.started(self.proxy([backend.port]))
        self.assertEqual(pipelined(proxy, "127.0.0.9", "/sdk/agents", 900).count(200), 900)

    def test_pages_that_wait_take_no_place_of_other_requests(self):
        backend = self.started(Backend("hold"))
        proxy = self.started(self.proxy([backend.port]))
        waiting = []
        for path, count in (("/connect/status", 203), ("/connect/notice/open", 1)):
            for _ in range(count):
                waiting.append(raw(proxy.port, "127.0.0.9"))
                waiting[-1].sendall((REQUEST % path).encode())
        backend.until(lambda: len(backend.came) == 204)
        backend.go_on.set()
        for connection in waiting:
            self.assertIn(b" 200 ", connection.recv(4096))

    def test_one_client_has_200_requests_at_once_and_the_next_gets_429(self):
        backend = self.started(Backend("hold"))
        proxy = self.started(self.proxy([backend.port]))
        waiting = []
        for _ in range(203):
            waiting.append(raw(proxy.port, "127.0.0.9"))
            waiting[-1].sendall((REQUEST % "/sdk/agents").encode())
        # The refused ones are answered at once; nobody else is before the backend goes on.
        for _ in range(3):
            [refused, *_], _, _ = select.select(waiting, [], [], 60)
            self.assertIn(b" 429 ", refused.recv(4096))
            waiting.remove(refused)
        backend.go_on.set()
        for connection in waiting:
            self.assertIn(b" 200 ", connection.recv(4096))
