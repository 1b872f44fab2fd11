"""A server, a provider and a browser's part of the flow, for the tests of the published backend client.

The server is the `alter` binary with a throw-away data directory on plain loopback http. The provider approves at once.
The browser is twenty lines of HTTP: what our own browser SDK and pages would send, no more.
"""

import base64
import hashlib
import http.server
import itertools
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

import httpx

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("ALTER_BIN") or str(ROOT / "target/debug/alter")
SITE = "http://127.0.0.1:4321"  # the app's origin; nothing needs to listen there
SIGN_IN_CLIENT = "conformance-sign-in"
CLIENT_ID, CLIENT_SECRET = "conformance", "a-client-secret-of-the-conformance-tests"


class Provider:
    """Approves every request; strict about PKCE, redirect_uri and the client's secret. `deny` makes it refuse, `person`
    is who has signed in there, `life` is how long its tokens live, in seconds. It gives no refresh tokens."""

    def __init__(self):
        self.codes, self.tokens, self.api_calls, self.deny, self.person, self.life = {}, {}, [], False, "pat", 3600
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                provider.get(self)

            def do_POST(self):
                provider.post(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.origin = f"http://{self.host}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def get(self, request):
        url = urllib.parse.urlsplit(request.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/authorize":
            answer = {"state": query["state"]}
            if self.deny:
                answer["error"] = "access_denied"
            else:
                answer["code"] = secrets.token_hex(16)
                self.codes[answer["code"]] = {**query, "person": self.person}
            location = query["redirect_uri"] + "?" + urllib.parse.urlencode(answer)
            return _send(request, 303, b"", {"Location": location})
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            return _json(request, 401, {"error": "invalid_token"})
        if url.path != "/userinfo":
            self.api_calls.append((request.path, dict(request.headers)))
        person = self.tokens[token]
        return _json(request, 200, {"sub": person, "email": f"{person}@provider.test", "name": person.title()})

    def post(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", 0))).decode()
        if request.path != "/token":
            return self.get(request)
        form = dict(urllib.parse.parse_qsl(body))
        expected = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("Authorization") != expected:
            return _json(request, 401, {"error": "invalid_client"})
        asked = self.codes.pop(form.get("code"), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not asked or asked["redirect_uri"] != form["redirect_uri"] or asked["code_challenge"] != challenge:
            return _json(request, 400, {"error": "invalid_grant"})
        token = secrets.token_hex(16)
        self.tokens[token] = asked["person"]
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.life, "scope": asked.get("scope", "")}
        return _json(request, 200, answer)


class IdentityProvider:
    """Signs the tokens of an app's users with RS256, by the openssl command. Signs users in with the code flow: whoever comes
    is `person`."""

    def __init__(self):
        self.person, self.codes = None, {}
        self.dir = tempfile.mkdtemp(prefix="alter-idp-")
        self.key = self.dir + "/key.pem"
        self._openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.key)
        shown = self._openssl("rsa", "-in", self.key, "-noout", "-modulus").decode().strip().partition("=")[2]
        jwk = {"kty": "RSA", "kid": "k1", "use": "sig", "n": _b64url(bytes.fromhex(shown)), "e": "AQAB"}
        idp = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path == "/.well-known/openid-configuration":
                    return _json(self, 200, idp.metadata())
                if self.path.startswith("/authorize?"):
                    return _send(self, 303, b"", {"Location": idp.sign_in(self.path.partition("?")[2])})
                return _json(self, 200, {"keys": [jwk]}) if self.path == "/keys" else _json(self, 404, {})

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                return _json(self, *idp.exchange(self.headers, dict(urllib.parse.parse_qsl(body))))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def metadata(self):
        return {
            "issuer": self.origin, "jwks_uri": self.origin + "/keys",
            "authorization_endpoint": self.origin + "/authorize", "token_endpoint": self.origin + "/token",
            "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def sign_in(self, query):
        asked = dict(urllib.parse.parse_qsl(query))
        code = secrets.token_hex(16)
        self.codes[code] = {**asked, "person": self.person}
        return asked["redirect_uri"] + "?" + urllib.parse.urlencode({"code": code, "state": asked["state"]})

    def exchange(self, headers, form):
        expected = "Basic " + base64.b64encode(f"{SIGN_IN_CLIENT}:{CLIENT_SECRET}".encode()).decode()
        asked = self.codes.pop(form.get("code"), None)
        challenge = _b64url(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if headers.get("Authorization") != expected:
            return 401, {"error": "invalid_client"}
        if not asked or (asked["redirect_uri"], asked["code_challenge"]) != (form["redirect_uri"], challenge):
            return 400, {"error": "invalid_grant"}
        id_token = self.token(sub=asked["person"], aud=SIGN_IN_CLIENT, nonce=asked["nonce"])
        return 200, {"access_token": secrets.token_hex(16), "token_type": "Bearer", "id_token": id_token}

    def token(self, **claims):
        now = int(time.time())
        claims = {"iss": self.origin, "sub": "user-1", "aud": "conformance", "iat": now, "exp": now + 300, **claims}
        parts = ({"alg": "RS256", "kid": "k1", "typ": "JWT"}, claims)
        message = ".".join(_b64url(json.dumps(part).encode()) for part in parts)
        return message + "." + _b64url(self._openssl("dgst", "-sha256", "-sign", self.key, input=message.encode()))

    def _openssl(self, *args, **more):
        return subprocess.run(["openssl", *args], check=True, capture_output=True, **more).stdout

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.dir)


def _b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _json(request, status, value):
    _send(request, status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _send(request, status, body, headers):
    request.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


_tried = itertools.count()


def free_port():
    """Returns a port that is free now, from below 32768, where Linux starts to hand out ports for outgoing connections."""
    while True:
        port = 20000 + (os.getpid() * 97 + next(_tried)) % 12000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Server:
    """`alter serve`, and the operator's command line beside it; on SQLite unless a database is named."""

    def __init__(self, database_url=None):
        self.dir = tempfile.mkdtemp(prefix="alter-conformance-")
        port = free_port()
        self.origin = f"http://localhost:{port}"
        self.env = {
            "PATH": os.environ["PATH"],
            "ALTER_DATA_DIR": self.dir + "/data",
            "ALTER_LISTEN": f"127.0.0.1:{port}",
            "ALTER_PUBLIC_URL": self.origin,
            "ALTER_EGRESS_ALLOW": "127.0.0.0/8,::1/128",
            "ALTER_LOG": "info,alter_server=debug",
        }
        if database_url:
            self.env["ALTER_DATABASE_URL"] = database_url
        self.cli("init")
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([BIN, "serve"], env=self.env, stdout=self.log, stderr=self.log)
        for _ in range(1200):
            try:
                if httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise RuntimeError("alter serve did not become ready: " + self.logged())

    def cli(self, *args, secret=""):
        done = subprocess.run([BIN, *args, "--json"], env=self.env, input=secret, text=True, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError(f"alter {' '.join(args)}: {done.stderr or done.stdout}")
        return json.loads(done.stdout)

    def logged(self):
        self.log.seek(0)
        return self.log.read().decode()

    def requests(self, path, after=0, count=0):
        """The (status, code) of every answered request to a path, from the server's own log, without the first `after`.
        Waits until there are at least `count`, because the server writes the line after the answer."""
        for _ in range(3000):
            found = self._requests(path)[after:]
            if len(found) >= count:
                break
            time.sleep(0.02)
        return found

    def _requests(self, path):
        found = []
        for line in self.logged().splitlines():
            fields = json.loads(line).get("fields", {}) if line.startswith("{") else {}
            if fields.get("path") == path:
                found.append((fields["status"], fields.get("code")))
        return found

    def app(self, name, provider, *flags):
        """Makes an app with one provider, `acme`. Returns its id and its key."""
        made = self.cli("app", "create", name, *flags)
        base = provider.origin
        self.cli(
            "provider", "set", made["app_id"], "acme", "--client-id", CLIENT_ID, "--client-secret-stdin",
            "--authorize-url", base + "/authorize", "--token-url", base + "/token", "--userinfo-url", base + "/userinfo",
            "--api-host", provider.host, "--scopes", "read", secret=CLIENT_SECRET,
        )
        return made

    def stop(self):
        # As Ctrl-C: a SIGTERM would wait for what clients here may still send over open connections.
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self.log.close()
        shutil.rmtree(self.dir)


class LinkBrowser:
    """A browser in which somebody opens a link, as `webbrowser.open` does: no page of the app is behind it."""

    def __init__(self, server, url):
        self.server = server.origin
        self.client = httpx.Client(trust_env=False, verify=False)
        marks = {"opener": False, "name": "", "referrer": "", "site": "none", "history": 1}
        opened = self.post("/connect/api/claim", token=url.partition("#session=")[2], marks=marks)
        self.sid = urllib.parse.urlsplit(opened["location"]).path.rsplit("/", 1)[1]

    def post(self, path, **fields):
        answer = self.client.post(self.server + path, json=fields, headers={"Origin": self.server})
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    def through(self, verb, **fields):
        """Leaves for a provider that asks nothing, and comes back. Returns the page."""
        away = self.client.get(self.post(f"/connect/api/s/{self.sid}/{verb}", **fields)["location"])
        back = self.client.get(away.headers["Location"])
        assert back.status_code == 303, (back.status_code, back.text)
        return self.show()

    def show(self):
        return self.client.get(f"{self.server}/connect/s/{self.sid}").text


class Browser:
    """One person's browser at the app's page, going through door A."""

    def __init__(self, server, token):
        self.server, self.token = server.origin, token
        self.client = httpx.Client(trust_env=False, verify=False)  # plain http: no need to read 150 authorities
        verifier = secrets.token_bytes(32)
        self.cb = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
        form = {"session": token, "cb": self.cb, "m": "p"}
        opened = self.client.post(self.server + "/connect/open", data=form, headers={"Origin": SITE})
        assert opened.status_code == 303, (opened.status_code, opened.text)
        self.page = opened.headers["Location"]
        self.sid = urllib.parse.urlsplit(self.page).path.rsplit("/", 1)[1]
        self.show()

    def show(self):
        shown = self.client.get(self.server + self.page)
        assert shown.status_code == 200, (shown.status_code, shown.text)
        self.page = f"/connect/s/{self.sid}"
        return shown.text

    def status(self):
        """The SDK's question from the app's page. Before the first one, the server does not go on to the provider."""
        body = json.dumps({"session_token": self.token, "cb": self.cb, "cursor": 0})
        headers = {"Origin": SITE, "Content-Type": "text/plain"}
        return self.client.post(self.server + "/connect/status", content=body, headers=headers).json()

    def step(self, verb, **fields):
        url = f"{self.server}/connect/api/s/{self.sid}/{verb}"
        answer = self.client.post(url, json=fields, headers={"Origin": self.server})
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    def approve(self):
        """Approve, provider, callback: one click after the other."""
        self.status()
        at_provider = self.client.get(self.step("approve", provider="acme")["location"])
        back = self.client.get(at_provider.headers["Location"])
        assert back.status_code == 303, (back.status_code, back.text)
        return self.show()
