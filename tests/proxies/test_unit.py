"""deploy/alter.service, where systemd can judge it."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

import harness
from case import Case
from proxies import DEPLOY


class Unit(Case):
    @unittest.skipUnless(shutil.which("systemd-analyze"), "SKIPPED: no systemd-analyze here")
    def test_the_unit_is_one_and_has_limits_of_memory_and_tasks(self):
        text = (DEPLOY / "alter.service").read_text()
        program = "ExecStart=/usr/local/bin/alter serve"
        self.assertEqual(text.count(program), 1)
        with tempfile.TemporaryDirectory() as dir:
            unit = pathlib.Path(dir, "alter.service")
            unit.write_text(text.replace(program, f"ExecStart={pathlib.Path(harness.BIN).resolve()} serve"))
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for limit in ("MemoryHigh=", "MemoryMax=", "TasksMax="):
            self.assertIn("\n" + limit, text)
