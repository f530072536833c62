"""Settings of the Django project. Everything that differs between places comes from environment.

Without ``DATABASE_URL`` an embedded PostgreSQL starts by itself (``docs/operations.md``).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import warnings
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from api.database.urls import database_urls, django_database

BASE_DIR = Path(__file__).resolve().parent.parent
# A relative folder starts at the project, like the embedded server's.
DATA_DIR = BASE_DIR / Path(os.environ.get("TENNER_DATA") or ".tenner").expanduser()

DEBUG = os.environ.get("TENNER_DEBUG", "") == "1"


def _secret_key() -> str:
    """The signing key: from the environment, else one made once and kept beside the data."""
    given = os.environ.get("TENNER_SECRET_KEY")
    if given:
        return given
    path = DATA_DIR / "secret_key"
    if not path.exists():
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", encoding="ascii", dir=DATA_DIR) as made:
            made.write(secrets.token_urlsafe(48))
            made.flush()
            # A link appears whole or not at all, and only the first of several processes makes it.
            with suppress(FileExistsError):
                os.link(made.name, path)
    return path.read_text(encoding="ascii")


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = os.environ.get("TENNER_HOSTS", "127.0.0.1,localhost,[::1]").split(",")
CSRF_TRUSTED_ORIGINS = [o for o in os.environ.get("TENNER_ORIGINS", "").split(",") if o]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "graphene_django",
    "procrastinate.contrib.django",
    "accounts",
    "risk",
    "marketplace",
    "api",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "api.urls"
WSGI_APPLICATION = "api.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "api" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Two roles of one database: the application's, and the owner's, which alone may migrate.
_urls = database_urls(os.environ)
# The embedded server's backend starts it again if it has died since.
_engine = {} if os.environ.get("DATABASE_URL") else {"ENGINE": "api.database.backend"}
DATABASES = {
    "default": {
        **django_database(_urls.application),
        **_engine,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    },
    "owner": {**django_database(_urls.owner), **_engine},
}
DATABASE_ROUTERS = ["api.database.router.OwnerMigrates"]

AUTH_USER_MODEL = "accounts.Member"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

# Key of the loan book's pseudonyms: kept apart, so that signing and pseudonyms don't share one.
LOAN_BOOK_SECRET = hashlib.sha256(b"loan book|" + SECRET_KEY.encode()).digest()

# Our bank accounts: client money, Tenner's own, the provision fund's. The defaults are well formed,
# and of no bank.
TENNER_HOLDER = os.environ.get("TENNER_HOLDER", "Tenner Ltd")
TENNER_CLIENT_ACCOUNT = os.environ.get("TENNER_CLIENT_ACCOUNT", "GB54TNNR20000055779911")
TENNER_OWN_ACCOUNT = os.environ.get("TENNER_OWN_ACCOUNT", "GB27TNNR20000055779912")
TENNER_FUND_ACCOUNT = os.environ.get("TENNER_FUND_ACCOUNT", "GB97TNNR20000055779913")
# Notices to members: printed until a mail server is named.
EMAIL_BACKEND = os.environ.get(
    "TENNER_EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend"
)
EMAIL_HOST = os.environ.get("TENNER_EMAIL_HOST", "localhost")
EMAIL_PORT = int(os.environ.get("TENNER_EMAIL_PORT", "25"))
EMAIL_HOST_USER = os.environ.get("TENNER_EMAIL_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("TENNER_EMAIL_PASSWORD", "")
EMAIL_USE_TLS = os.environ.get("TENNER_EMAIL_TLS", "") == "1"
DEFAULT_FROM_EMAIL = os.environ.get("TENNER_EMAIL_FROM", "Tenner <notices@localhost>")
TENNER_COOLING_OFF_DAYS = int(os.environ.get("TENNER_COOLING_OFF_DAYS", "3"))
# The creditor of direct debits: a Bacs service user number, or a SEPA creditor identifier.
TENNER_CREDITOR_ID = os.environ.get("TENNER_CREDITOR_ID", "000000")

# Jobs: `manage.py procrastinate worker` does those of this module (docs/operations.md).
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = None
PROCRASTINATE_IMPORT_PATHS = ["api.jobs"]
PROCRASTINATE_WORKER_DEFAULTS = {"delete_jobs": "successful"}
# With a seed, close of day collects from a sandbox that plays the bank, not by files for a bank.
TENNER_SANDBOX_SEED = os.environ.get("TENNER_SANDBOX_SEED", "")

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "api" / "assets"]
# Without `collectstatic` files are served from where they are, so a missing folder is no fault.
WHITENOISE_USE_FINDERS = True
warnings.filterwarnings("ignore", message="No directory at")

CSRF_FAILURE_VIEW = "api.views.forged"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = os.environ.get("TENNER_HTTPS", "") == "1"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

GRAPHENE = {"SCHEMA": "api.graphql.schema.schema"}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "api.rest.errors.refusal_response",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tenner",
    "DESCRIPTION": "Files, exports and machine access of a peer-to-peer lending marketplace.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
}
