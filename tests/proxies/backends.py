"""What stands behind a proxy: two real servers on one PostgreSQL, or one that does what no real one should."""

import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import harness
import httpx
import postgres


class Replica:
    """`alter serve`, which can be stopped and started again. Its log goes on in one file."""

    def __init__(self, name, env, dir):
        self.port = harness.free_port()
        self.env = {**env, "ALTER_LISTEN": f"127.0.0.1:{self.port}", "ALTER_DATA_DIR": f"{dir}/{name}"}
        self.log = pathlib.Path(dir, name + ".log")
        self.process = None

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([harness.BIN, "serve"], env=self.env, stdout=log, stderr=log)
        for _ in range(600):
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise RuntimeError("alter serve did not become ready: " + self.log.read_text())

    def stop(self):
        """As a service manager does. Returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.process = None
        return status

    def requests(self, after=0):
        """The (trace, path, status) of each request of a traced caller that was answered, from this place of the log on."""
        found = []
        with open(self.log) as log:
            log.seek(after)
            for line in log:
                if not line.startswith("{"):
                    continue
                entry = json.loads(line)
                fields, spans = entry.get("fields", {}), entry.get("spans") or [{}]
                if "path" in fields and "span_id" in spans[0]:
                    found.append((spans[0]["trace_id"], fields["path"], fields["status"]))
        return found

    def logged(self):
        return self.log.stat().st_size


class Pair:
    """Two servers with one root key on one throw-away PostgreSQL, and an app."""

    def __init__(self, public_url):
        self.cluster, self.dir = postgres.Cluster(), tempfile.mkdtemp(prefix="alter-pair-")
        env = {
            "PATH": os.environ["PATH"],
            "ALTER_PUBLIC_URL": public_url,
            "ALTER_DATABASE_URL": self.cluster.url,
            "ALTER_ROOT_KEY_FILE": f"{self.dir}/root.key",
            "ALTER_LOG": "info,alter_server=debug",
        }
        self.replicas = [Replica(name, env, self.dir) for name in ("one", "two")]
        self.cli("init")
        self.api_key = self.cli("app", "create", "Proxied", "--website-url", harness.SITE)["api_key"]
        for replica in self.replicas:
            replica.start()

    def cli(self, *args):
        done = subprocess.run([harness.BIN, *args, "--json"], env=self.replicas[0].env, text=True, capture_output=True)
        assert done.returncode == 0, f"alter {' '.join(args)}: {done.stderr or done.stdout}"
        return json.loads(done.stdout)

    def ports(self):
        return [replica.port for replica in self.replicas]

    def stop(self):
        for replica in self.replicas:
            if replica.process:
                replica.process.kill()
                replica.process.wait(10)
        self.cluster.stop()
        shutil.rmtree(self.dir)


PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3000\r\n\r\n" + 3000 * b"a"


# How long a status call of an app's page waits for news at most, and a beat of the server.
WAIT = 25.3


class Backend:
    """Reads each request whole and counts it. Then it answers (`answer`), answers with a page (`page`), closes without a word (`close`), waits for
    `go_on` first (`hold`), or as long as a status call may (`wait`), unless the client has `left`. It is always ready."""

    def __init__(self, manner, port=0):
        self.manner, self.came, self.left, self.go_on = manner, [], [], threading.Event()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as lines:
            while first := lines.readline().decode():
                method, target, _ = first.split(" ")
                length = 0
                while (header := lines.readline().decode().lower().strip()):
                    if header.startswith("content-length:"):
                        length = int(header.partition(":")[2])
                if len(lines.read(length)) < length:
                    return
                if target != "/readyz":
                    self.came.append((method, target))
                    if self.manner == "close":
                        return
                    if self.manner == "hold":
                        self.go_on.wait()
                    if self.manner == "wait" and select.select([connection], [], [], WAIT)[0]:
                        self.left.append(target)
                        return
                try:
                    connection.sendall(PAGE if self.manner == "page" else b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                except OSError:
                    return

    def until(self, is_so):
        for _ in range(6000):
            if is_so():
                return
            time.sleep(0.01)
        raise AssertionError(f"it came {self.came}, and left {self.left}")

    def stop(self):
        self.go_on.set()
        # Wakes up the thread that accepts.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
