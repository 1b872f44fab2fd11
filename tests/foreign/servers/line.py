"""What a server in Python and the walk say to each other: the server writes its origin, then learns our callback URL."""

import json
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

# Seconds that an access token lives: few, so that a walk sees a refresh.
LIFE = 15


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Silent(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def bind():
    """Listens on a free port of loopback. Returns the server, which has no application yet, and its origin."""
    server = Threads(("127.0.0.1", 0), Silent)
    return server, f"http://127.0.0.1:{server.server_port}"


def introduce(server, application, origin, register):
    """Serves the application, and registers each callback URL that the walk sends."""
    server.set_app(application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _say({"origin": origin})
    for line in sys.stdin:
        register(json.loads(line)["callback"])
        _say({"registered": True})


def _say(value):
    print(json.dumps(value), flush=True)
