"""Authlib's authorization server over Flask, as its documentation sets it up: OpenID Connect, PKCE required, refresh tokens
that rotate, revocation; metadata as RFC 8414 has them. Authlib has no pages: login and consent are the two forms below."""

import os
import secrets
import time

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain http on loopback

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector, current_token  # noqa: E402
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants  # noqa: E402
from authlib.oauth2.rfc6750 import BearerTokenValidator  # noqa: E402
from authlib.oauth2.rfc7009 import RevocationEndpoint  # noqa: E402
from authlib.oauth2.rfc7636 import CodeChallenge  # noqa: E402
from authlib.oidc.core import UserInfo  # noqa: E402
from authlib.oidc.core.grants import OpenIDCode as OpenIDCodeBase  # noqa: E402
from flask import Flask, jsonify, redirect, request, session  # noqa: E402
from joserfc.jwk import KeySet, RSAKey  # noqa: E402
from line import LIFE, bind, introduce  # noqa: E402

CLIENT_ID, CLIENT_SECRET = "alter-walk", "a-secret-of-the-walk-0123456789"
PAGE = '<!doctype html><html lang="en"><title>Authlib</title><h1>Authlib</h1>'
LOGIN = PAGE + '<form method="post"><input name="user" aria-label="User"><button>Log in</button></form>'
CONSENT = (
    PAGE + '<form method="post"><button name="answer" value="yes" id="allow">Allow</button>'
    '<button name="answer" value="no" id="deny">Deny</button></form>'
)

callbacks, codes, tokens = [], {}, []
key = RSAKey.generate_key(2048, {"kid": "walk", "use": "sig", "alg": "RS256"})
server, origin = bind()
app = Flask("authlib")
app.secret_key = secrets.token_bytes(16)


class Client(ClientMixin):
    client_id = CLIENT_ID

    def get_client_id(self):
        return CLIENT_ID

    def get_default_redirect_uri(self):
        return callbacks[0]

    def get_allowed_scope(self, scope):
        return " ".join(one for one in scope.split() if one in ("openid", "profile", "email"))

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri in callbacks

    def check_client_secret(self, client_secret):
        return secrets.compare_digest(client_secret, CLIENT_SECRET)

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type in ("authorization_code", "refresh_token")


class Code(dict):
    def get_redirect_uri(self):
        return self["redirect_uri"]

    def get_scope(self):
        return self["scope"]

    def get_nonce(self):
        return self["nonce"]

    def get_auth_time(self):
        return self["auth_time"]

    def get_acr(self):
        return None

    def get_amr(self):
        return None

    @property
    def code_challenge(self):
        return self["code_challenge"]

    @property
    def code_challenge_method(self):
        return self["code_challenge_method"]


class Token(TokenMixin):
    def __init__(self, token, user):
        self.token, self.user, self.revoked, self.issued_at = token, user, False, time.time()

    def check_client(self, client):
        return client.client_id == CLIENT_ID

    def get_scope(self):
        return self.token.get("scope", "")

    def get_expires_in(self):
        return self.token["expires_in"]

    def is_expired(self):
        return self.issued_at + self.token["expires_in"] < time.time()

    def is_revoked(self):
        return self.revoked

    def get_user(self):
        return self.user

    def get_client(self):
        return Client()


def find(name, value):
    return next((token for token in tokens if token.token.get(name) == value), None)


class ByCode(grants.AuthorizationCodeGrant):
    def save_authorization_code(self, code, request):
        data = request.payload.data
        codes[code] = Code(
            code=code, user=request.user, redirect_uri=request.payload.redirect_uri, scope=request.payload.scope,
            nonce=data.get("nonce"), auth_time=int(time.time()), code_challenge=data.get("code_challenge"),
            code_challenge_method=data.get("code_challenge_method"),
        )

    def query_authorization_code(self, code, client):
        return codes.get(code)

    def delete_authorization_code(self, authorization_code):
        del codes[authorization_code["code"]]

    def authenticate_user(self, authorization_code):
        return authorization_code["user"]


class OpenIDCode(OpenIDCodeBase):
    def exists_nonce(self, nonce, request):
        return any(code["nonce"] == nonce for code in codes.values())

    def get_client_claims(self, client):
        return {"iss": origin}

    def resolve_client_private_key(self, client):
        return key

    def generate_user_info(self, user, scope):
        return person(user)


class ByRefreshToken(grants.RefreshTokenGrant):
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        found = find("refresh_token", refresh_token)
        return found if found and not found.revoked else None

    def authenticate_user(self, refresh_token):
        return refresh_token.user

    def revoke_old_credential(self, refresh_token):
        refresh_token.revoked = True


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = ["client_secret_basic"]

    def query_token(self, token_string, token_type_hint):
        return find("access_token", token_string) or find("refresh_token", token_string)

    def revoke_token(self, token, request):
        token.revoked = True


class Validator(BearerTokenValidator):
    def authenticate_token(self, token_string):
        return find("access_token", token_string)


def person(user):
    return UserInfo(sub=f"id-{user}", name=user.title(), email=f"{user}@authlib.test", email_verified=True)


app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"authorization_code": LIFE, "refresh_token": LIFE}
authorization = AuthorizationServer(
    app,
    query_client=lambda client_id: Client() if client_id == CLIENT_ID else None,
    save_token=lambda token, request: tokens.append(Token(token, request.user)),
)
authorization.register_grant(ByCode, [OpenIDCode(require_nonce=True), CodeChallenge(required=True)])
authorization.register_grant(ByRefreshToken)
authorization.register_endpoint(Revocation)
protect = ResourceProtector()
protect.register_token_validator(Validator())


@app.get("/.well-known/oauth-authorization-server")
def metadata():
    return jsonify(
        issuer=origin,
        authorization_endpoint=origin + "/oauth/authorize",
        token_endpoint=origin + "/oauth/token",
        revocation_endpoint=origin + "/oauth/revoke",
        userinfo_endpoint=origin + "/oauth/me",
        jwks_uri=origin + "/jwks",
        response_types_supported=["code"],
        code_challenge_methods_supported=["S256"],
        token_endpoint_auth_methods_supported=["client_secret_basic"],
        scopes_supported=["openid", "profile", "email"],
    )


@app.get("/jwks")
def jwks():
    return jsonify(KeySet([key]).as_dict(private=False))


@app.route("/oauth/login", methods=["GET", "POST"])
def login():
    if request.method == "GET":
        return LOGIN
    session["user"] = request.form["user"]
    return redirect(session["back"])


@app.route("/oauth/authorize", methods=["GET", "POST"])
def authorize():
    if "user" not in session:
        session["back"] = request.full_path
        return redirect("/oauth/login")
    if request.method == "GET":
        authorization.get_consent_grant(end_user=session["user"])
        return CONSENT
    user = session["user"] if request.form["answer"] == "yes" else None
    grant = authorization.get_consent_grant(end_user=session["user"])
    return authorization.create_authorization_response(grant=grant, grant_user=user)


@app.post("/oauth/token")
def token():
    return authorization.create_token_response()


@app.post("/oauth/revoke")
def revoke():
    return authorization.create_endpoint_response("revocation")


@app.get("/oauth/me")
@protect("profile")
def me():
    return jsonify(person(current_token.user))


introduce(server, app, origin, callbacks.append)
