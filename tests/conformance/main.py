"""Every test of the published backend client (alter-sdk 0.29.0, unmodified), once on SQLite and once on PostgreSQL, and the error matrix that they fill.

    run                             both engines
    run sqlite                      one engine
    run postgres test_agents.Me     one engine, some tests (the matrix is then not compared)

UPDATE_MATRIX=1 writes docs/reference/error-matrix.md anew.
"""

import subprocess
import sys
import unittest

import matrix
import world

MODULES = ["test_backend_client", "test_users", "test_agents", "test_links", "test_real_providers", "test_error_matrix"]


def run(engine, names):
    print(f"== on {engine}", flush=True)
    matrix.OBSERVED.clear()
    world.Case.world = world.World(engine)
    try:
        suite = unittest.defaultTestLoader.loadTestsFromNames(names)
        result = unittest.TextTestRunner(verbosity=2).run(suite)
        # Whatever the tests did, the audit chain of every app must be whole.
        world.Case.world.server.cli("audit", "verify", "--all")
    finally:
        world.Case.world.stop()
    failed = len(result.failures) + len(result.errors)
    print(f"{engine}: {result.testsRun - failed} passed, {failed} failed", flush=True)
    return result.testsRun > 0 and failed == 0


def both(names):
    """Runs both engines at the same time: each waits more than it works."""
    command = [sys.executable, *(f"-W{option}" for option in sys.warnoptions), __file__]
    runs = [
        subprocess.Popen([*command, engine, *names], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for engine in world.ENGINES
    ]
    for running in runs:
        sys.stdout.write(running.communicate()[0].decode())
    return all(running.returncode == 0 for running in runs)


def main(arguments):
    engines = [name for name in arguments if name in world.ENGINES]
    names = [name for name in arguments if name not in world.ENGINES]
    if len(engines) != 1:
        return both(names)
    passed = run(engines[0], names or MODULES)
    return passed and (bool(names) or matrix.compare(engines[0]))


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
