"""A throw-away PostgreSQL cluster, from the binaries that are installed. It listens on a Unix socket in its own directory.

A shell supervises it and reads a pipe from this process: when this process ends, however it ends, the shell stops the
server and removes the directory. The cluster does not wait for the disk: put nothing into it that matters.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.parse

SUPERVISOR = """
trap '' PIPE INT TERM HUP
dir=$1; shift
"$@" >"$dir/log" 2>&1 & server=$!
read -r _
kill -QUIT $server; wait $server
rm -rf "$dir"
"""


def binaries():
    """PG_BIN, or Debian's newest version. If there is none, that is an error, never a reason to skip."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("[0-9]*/bin"), key=lambda path: int(path.parent.name))
    chosen = pathlib.Path(os.environ["PG_BIN"]) if "PG_BIN" in os.environ else found[-1] if found else None
    if not chosen or not (chosen / "initdb").exists():
        raise RuntimeError("PostgreSQL's server is not installed: scripts/setup-postgres, or name its programs in PG_BIN")
    return chosen


def as_non_root():
    """The server refuses to run as root, so root runs it as the package's own user."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]


class Cluster:
    def __init__(self):
        self.bin = binaries()
        self.dir = tempfile.mkdtemp(prefix="alter-conformance-pg-")
        if os.geteuid() == 0:
            shutil.chown(self.dir, "postgres")
        # Without the variables that would send PostgreSQL's programs elsewhere.
        self.quiet = {"cwd": "/", "env": {"PATH": os.environ["PATH"]}}
        initdb = ["--no-sync", "--no-instructions", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
        self._run(*as_non_root(), self.bin / "initdb", *initdb, "-D", self.dir + "/data")
        server = [*as_non_root(), self.bin / "postgres", "-D", self.dir + "/data", "-k", self.dir]
        for setting in ("listen_addresses=", "fsync=off", "shared_buffers=64MB"):
            server += ["-c", setting]
        self.supervisor = subprocess.Popen(
            ["sh", "-c", SUPERVISOR, "supervisor", self.dir, *server], stdin=subprocess.PIPE, start_new_session=True,
            **self.quiet,
        )
        self._wait()
        self._run(self.bin / "createdb", "-h", self.dir, "-U", "postgres", "alter")
        self.url = "postgres://postgres@localhost/alter?host=" + urllib.parse.quote(self.dir, safe="")

    def _run(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, **self.quiet)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]}: {done.stderr or done.stdout}")

    def _wait(self):
        ready = [self.bin / "pg_isready", "-q", "-h", self.dir, "-U", "postgres", "-d", "postgres"]
        for _ in range(600):
            if subprocess.run(ready, **self.quiet).returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError("PostgreSQL did not start: " + pathlib.Path(self.dir, "log").read_text())

    def stop(self):
        self.supervisor.stdin.close()
        self.supervisor.wait(60)
