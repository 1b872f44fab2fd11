"""django-oauth-toolkit in a Django project of one file, with the toolkit's own consent page, Django's own login view and
the security headers of a new project (`Cross-Origin-Opener-Policy: same-origin` among them)."""

import secrets
import tempfile
from pathlib import Path

import django
from django.conf import settings
from jwcrypto import jwk
from line import LIFE, bind, introduce

CLIENT_ID, CLIENT_SECRET = "alter-walk", "a-secret-of-the-walk-0123456789"
here = Path(tempfile.mkdtemp(prefix="alter-django-"))
server, origin = bind()
(here / "registration").mkdir()
(here / "registration/login.html").write_text(
    '<!doctype html><html lang="en"><title>Django</title><h1>Django</h1>'
    '<form method="post">{% csrf_token %}{{ form }}<button>Log in</button></form>'
)
settings.configure(
    SECRET_KEY=secrets.token_hex(16),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": here / "db.sqlite3"}},
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [here], "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.template.context_processors.request"]}}],
    LOGIN_URL="/login/",
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "ACCESS_TOKEN_EXPIRE_SECONDS": LIFE,
        "OIDC_RSA_PRIVATE_KEY": jwk.JWK.generate(kty="RSA", size=2048).export_to_pem(private_key=True, password=None).decode(),
        "SCOPES": {"openid": "Know who you are", "read": "Read your things"},
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.decorators import protected_resource  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402


@protected_resource(scopes=["read"])
def things(request):
    return JsonResponse({"owner": request.resource_owner.username})


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("login/", LoginView.as_view()),
    path("things/", things),
]


def register(callback):
    Application.objects.create(
        name="Alter", client_id=CLIENT_ID, client_secret=CLIENT_SECRET, redirect_uris=callback, algorithm="RS256",
        client_type=Application.CLIENT_CONFIDENTIAL, authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
    )


call_command("migrate", verbosity=0)
User.objects.create_user("dana", password="a long password")
introduce(server, get_wsgi_application(), origin, register)
