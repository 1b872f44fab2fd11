"""Two servers on one PostgreSQL behind the shipped recipes, restarted in turn while calls come: none is lost, and none
arrives twice. Both proxies stand in front of the same servers."""

import collections
import shutil
import threading
import time
import unittest

import alter_signing
from backends import Pair
from case import Case
from proxies import HOST, Caddy, Nginx

ROUNDS = 3
# Threads in front of each proxy. Each has an address of its own, as limits are per address.
THREADS = 8
# Between two pages of one thread, seconds: below the limit of an address.
PAGE_EVERY = 0.025
PAGE = "/connect/notice/open"
EXPECTED = {"/sdk/grants/list": 200, "/sdk/agents": 200, PAGE: 403}
# What a proxy logs of an answer that is as expected.
USUAL = ['"status":200', '"status":403', " 200 ", " 403 "]


class Traffic:
    """Signed calls and pages through one proxy, over kept connections, until it is told to stop."""

    def __init__(self, proxy, api_key, number):
        # The servers' logs have it, so that they tell which proxy a request came through.
        self.trace = f"{number}" * 32
        self.stopping, self.lock = threading.Event(), threading.Lock()
        self.answered, self.lost = collections.Counter(), []
        self.signed = alter_signing.Signed(api_key)
        sources = [f"127.0.{number}.{thread + 1}" for thread in range(THREADS)]
        self.threads = [threading.Thread(target=self.run, args=(proxy.client(source),)) for source in sources]
        for thread in self.threads:
            thread.start()

    def run(self, client):
        paged = 0
        while not self.stopping.is_set():
            self.ask(client, "POST", "/sdk/grants/list", json={}, auth=self.signed)
            self.ask(client, "GET", "/sdk/agents", auth=self.signed)
            if time.monotonic() - paged > PAGE_EVERY:
                paged = time.monotonic()
                self.ask(client, "GET", PAGE)

    def ask(self, client, method, path, **more):
        headers = {"traceparent": f"00-{self.trace}-{'1' * 16}-01"}
        try:
            answer = client.send(method, path, headers=headers, **more)
            failed = answer.status_code != EXPECTED[path] and f"{answer.status_code} {answer.text}"
        except Exception as error:
            failed = repr(error)
        with self.lock:
            self.answered[path] += 1
            if failed:
                self.lost.append(f"{time.strftime('%H:%M:%S')} {method} {path}: {failed}")

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


class Rolling(Case):
    def test_servers_that_are_restarted_in_turn_lose_no_request_and_get_none_twice(self):
        kinds = [kind for kind, program in ((Nginx, "nginx"), (Caddy, "caddy")) if shutil.which(program)]
        if len(kinds) < 2:
            print("SKIPPED in part: only", [kind.__name__ for kind in kinds], "(scripts/setup-proxies says why)")
        if not kinds:
            raise unittest.SkipTest("SKIPPED: neither nginx nor Caddy is here (scripts/setup-proxies says why)")
        pair = self.started(Pair(f"https://{HOST}"))
        proxies = [self.started(kind(pair.ports())) for kind in kinds]
        flows = [self.started(Traffic(proxy, pair.api_key, number)) for number, proxy in enumerate(proxies, 1)]
        for replica in pair.replicas * ROUNDS:
            self.wait_for_calls(replica, flows, after=0)
            before = sum(sum(flow.answered.values()) for flow in flows)
            self.assertEqual(replica.stop(), 0, replica.log.read_text()[-2000:])
            place = replica.logged()
            replica.start()
            # The next one stops when the proxies use this one again, and not before.
            self.wait_for_calls(replica, flows, place)
            self.assertGreater(sum(sum(flow.answered.values()) for flow in flows), before)
        for flow in flows:
            flow.stop()
        for proxy, flow in zip(proxies, flows):
            told = [line for line in proxy.written().splitlines() if not any(word in line for word in USUAL)]
            self.assertEqual(flow.lost[:20], [], f"{len(flow.lost)} lost\n" + "\n".join(told[-100:]))
        came = collections.Counter(request for replica in pair.replicas for request in replica.requests())
        sent = collections.Counter({(flow.trace, path, EXPECTED[path]): count for flow in flows for path, count in flow.answered.items()})
        self.assertEqual(came, sent, "each request has reached one server, once")
        print(f"{sum(sent.values())} requests, {2 * ROUNDS} restarts", end=" ", flush=True)

    def wait_for_calls(self, replica, flows, after):
        awaited = {flow.trace for flow in flows}
        for _ in range(600):
            if awaited <= {trace for trace, _, _ in replica.requests(after)}:
                return
            time.sleep(0.1)
        self.fail("a proxy does not use a server that is ready: " + "\n".join(line for flow in flows for line in flow.lost))
