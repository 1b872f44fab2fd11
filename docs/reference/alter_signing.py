"""Signs the calls of an httpx client, a generated one too (docs/reference/signing.md).

    from alter_signing import Signed
    httpx.post(url, json=body, auth=Signed("alter_rk_..."))
"""

import hashlib
import hmac
import secrets
import time
from urllib.parse import parse_qsl, unquote, urlencode

import httpx

IDENTITY = ("caller", "caller-type", "actor-id", "context")


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256)


def string_to_sign(method, target, headers, body):
    """The exact text. `target` is path and query as they are sent; `headers` has lower-case names."""
    path, _, query = target.partition("?")
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    canonical = unquote(path) + ("?" + urlencode(pairs) if query else "")
    lines = [method, canonical, headers["x-alter-timestamp"], headers["x-alter-nonce"]]
    lines += [hashlib.sha256(body).hexdigest(), headers.get("x-alter-scope-constraints", "")]
    labels = {name: name for name in ("request-rule", "caller", "caller-type", "actor-id")}
    for name, label in {**labels, "context": "actor-context"}.items():
        if value := headers.get("x-alter-" + name):
            lines.append(f"{label}:{value}")
    return "\n".join(lines)


def sign(api_key, method, target, headers, body):
    signing_key = _hmac(api_key.encode(), "alter-signing-v1").digest()
    return _hmac(signing_key, string_to_sign(method, target, headers, body)).hexdigest()


class Signed(httpx.Auth):
    requires_request_body = True

    def __init__(self, api_key):
        self.api_key = api_key

    def auth_flow(self, request):
        headers = request.headers
        headers["x-api-key"] = self.api_key
        headers["x-alter-timestamp"] = str(int(time.time()))
        headers["x-alter-nonce"] = secrets.token_hex(16)
        headers["x-alter-content-sha256"] = hashlib.sha256(request.content).hexdigest()
        target = request.url.raw_path.decode()
        signature = sign(self.api_key, request.method, target, headers, request.content)
        headers["x-alter-signature"] = signature
        if any(headers.get("x-alter-" + name) for name in IDENTITY):
            headers["x-alter-signature-v2"] = signature
        yield request
