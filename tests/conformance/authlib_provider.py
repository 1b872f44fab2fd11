"""A provider whose token endpoint is Authlib's authorization server, with rotation: a refresh token works once."""

import secrets
import time
import urllib.parse
from types import SimpleNamespace

import harness
from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request, grants
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7636 import CodeChallenge


class AuthlibProvider(harness.Provider):
    """Its authorization endpoint and API are the harness's. Access tokens live `life` seconds."""

    def __init__(self, life):
        self.life, self.ends, self.refresh_tokens = life, {}, {}
        self.refreshes = {"granted": 0, "refused": 0}
        self.authlib = Server(self)
        super().__init__()

    def get(self, request):
        for token in [token for token, end in self.ends.items() if end <= time.monotonic()]:
            del self.ends[token], self.tokens[token]
        return super().get(request)

    def post(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", 0))).decode()
        asked = Asked(dict(urllib.parse.parse_qsl(body)), request.headers)
        status, answer, headers = self.authlib.create_token_response(asked)
        if asked.payload.grant_type == "refresh_token":
            self.refreshes["granted" if status == 200 else "refused"] += 1
        return harness._json(request, status, answer)


class Asked(OAuth2Request):
    form = None

    def __init__(self, form, headers):
        super().__init__("POST", "https://provider.test/token", headers=headers)
        self.form, self.payload = form, BasicOAuth2Payload(form)


class Server(AuthorizationServer):
    def __init__(self, provider):
        super().__init__()
        self.provider = provider
        token = lambda **_: secrets.token_hex(16)  # noqa: E731
        self.register_token_generator("default", BearerTokenGenerator(token, token, provider.life))
        self.register_grant(ByCode, [CodeChallenge(required=True)])
        self.register_grant(ByRefreshToken)

    def query_client(self, client_id):
        return Client() if client_id == harness.CLIENT_ID else None

    def save_token(self, token, request):
        self.provider.tokens[token["access_token"]] = request.user
        self.provider.ends[token["access_token"]] = time.monotonic() + self.provider.life
        self.provider.refresh_tokens[token["refresh_token"]] = Credential(request.user, token.get("scope", ""))

    def create_oauth2_request(self, request):
        return request

    def handle_response(self, status, body, headers):
        return status, body, headers

    def send_signal(self, *_, **__):
        pass


class Client(ClientMixin):
    def check_client_secret(self, client_secret):
        return client_secret == harness.CLIENT_SECRET

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type):
        return True

    def get_allowed_scope(self, scope):
        return scope or ""


class Credential:
    def __init__(self, person, scope):
        self.person, self.scope, self.revoked = person, scope, False

    def check_client(self, client):
        return True

    def get_scope(self):
        return self.scope


class ByCode(grants.AuthorizationCodeGrant):
    def query_authorization_code(self, code, client):
        asked = self.server.provider.codes.get(code)
        return asked and SimpleNamespace(
            **asked, code=code, get_redirect_uri=lambda: asked["redirect_uri"], get_scope=lambda: asked.get("scope", "")
        )

    def delete_authorization_code(self, authorization_code):
        del self.server.provider.codes[authorization_code.code]

    def authenticate_user(self, authorization_code):
        return authorization_code.person


class ByRefreshToken(grants.RefreshTokenGrant):
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        found = self.server.provider.refresh_tokens.get(refresh_token)
        return found if found and not found.revoked else None

    def authenticate_user(self, refresh_token):
        return refresh_token.person

    def revoke_old_credential(self, refresh_token):
        refresh_token.revoked = True
