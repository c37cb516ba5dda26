"""Django's settings. `configuration.py` reads what users can configure."""

import sys
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONE, SELF

from kargoweb.configuration import PROJECT_ROOT, ConfigurationError, read_configuration

try:
    KARGOWEB = read_configuration()
except ConfigurationError as error:
    for line in str(error).splitlines():
        print(f"kargoweb: configuration error: {line}", file=sys.stderr)  # noqa: T201 - logging is not configured yet
    sys.exit(3)  # the exit code of errors; some commands exit with 1 to report findings

BASE_DIR: Path = PROJECT_ROOT
SECRET_KEY = KARGOWEB.secret_key
SECRET_KEY_FALLBACKS = list(KARGOWEB.secret_key_fallbacks)
DEBUG = False  # debug pages show the settings and the variables of the code, secrets included
ALLOWED_HOSTS = list(KARGOWEB.allowed_hosts)
BASE = urlsplit(KARGOWEB.base_url)
HTTPS = BASE.scheme == "https"
CSRF_TRUSTED_ORIGINS = [f"https://{BASE.netloc}"] if HTTPS else []

# A process that faces the internet serves no pages: it has neither templates nor sessions nor a sign-in.
SERVES_PAGES: bool = KARGOWEB.role != "receiver"

INSTALLED_APPS = [
    # receivers/admin.py has a site of its own
    *(["django.contrib.admin.apps.SimpleAdminConfig"] if SERVES_PAGES else []),
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "csp",
    "axes",
    "receivers",
    *(["demo"] if find_spec("demo") else []),  # not in the container image
]

MIDDLEWARE = ["kargoweb.middleware.serve_machines"]  # first: pushes and probes need none of the others
PAGE_MIDDLEWARE = [
    "receivers.ops.middleware.attach_runtime",  # before all that may respond with an error page, which needs it
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",  # before the next: it has compressed the static files already
    "kargoweb.middleware.CompressPages",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    *(["receivers.accounts.proxy_sign_in.sign_in_by_proxy"] if KARGOWEB.proxy.addresses else []),
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it replaces the sign-in page's response with the lockout page
]

if SERVES_PAGES:
    MIDDLEWARE += PAGE_MIDDLEWARE
if KARGOWEB.tracing:
    MIDDLEWARE.insert(0, "kargoweb.tracing.trace_requests")

ROOT_URLCONF = "kargoweb.urls" if SERVES_PAGES else "kargoweb.receiver_urls"
WSGI_APPLICATION = "kargoweb.wsgi.application"

PAGE_TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,  # the templates of the admin
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "receivers.web.layout.layout",
            ],
        },
    },
]

TEMPLATES = PAGE_TEMPLATES if SERVES_PAGES else []

DATABASES = {"default": KARGOWEB.database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    *(["receivers.accounts.oidc.ProviderBackend"] if KARGOWEB.oidc.issuer else []),
    *(["receivers.accounts.proxy_sign_in.ProxyBackend"] if KARGOWEB.proxy.addresses else []),
    *(["django.contrib.auth.backends.ModelBackend"] if KARGOWEB.local_accounts else []),
]
# Lock out by user name and address together, so that nobody can lock out a user from another address.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=10)
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = (
    False  # the lockout page shows the end of the lockout, which must not move
)
AXES_CLIENT_IP_CALLABLE = "receivers.accounts.client_address.ip_address"
AXES_LOCKOUT_CALLABLE = "receivers.web.sign_in.locked_out"
AXES_SENSITIVE_PARAMETERS = ["username", "csrfmiddlewaretoken"]
AXES_DISABLE_ACCESS_LOG = True  # the audit log has it
AXES_VERBOSE = False

# Of mozilla-django-oidc; the addresses of the provider come from its discovery document.
OIDC_RP_CLIENT_ID = KARGOWEB.oidc.client_id
OIDC_RP_CLIENT_SECRET = KARGOWEB.oidc.client_secret
OIDC_RP_SCOPES = KARGOWEB.oidc.scopes
OIDC_AUTHENTICATION_CALLBACK_URL = "provider-callback"
OIDC_USE_PKCE = True
OIDC_TIMEOUT = 5  # seconds; someone waits for the page

LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"

# E-mail of the alerts.
if mail_server := KARGOWEB.alerts.email:
    EMAIL_HOST, EMAIL_PORT = mail_server.host, mail_server.port
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = mail_server.user, mail_server.password
    EMAIL_USE_TLS, EMAIL_USE_SSL = mail_server.scheme == "smtp+tls", mail_server.scheme == "smtps"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = KARGOWEB.alerts.email_from

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
DATETIME_FORMAT = "Y-m-d H:i:s e"  # of the admin; other pages use the tag `when`

# The container image has collected static files: compressed, with hashed names, cached forever. A checkout has none and
# serves the source files.
COLLECTED = BASE_DIR / "staticfiles"
STATIC_URL = "static/"
STATIC_ROOT = COLLECTED if COLLECTED.is_dir() else None
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
STATICFILES_BACKEND = (
    "whitenoise.storage.CompressedManifestStaticFilesStorage"
    if STATIC_ROOT
    else "django.contrib.staticfiles.storage.StaticFilesStorage"
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": STATICFILES_BACKEND},
}

DATA_UPLOAD_MAX_MEMORY_SIZE = 64 << 10  # bytes of a form; no page uploads files
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# No inline code and no other origins: text from a push cannot run scripts, even if a template failed to escape it.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        # Signing out at the provider is a redirect after a form, which browsers check, too.
        "form-action": [SELF, *([KARGOWEB.oidc.origin] if KARGOWEB.oidc.issuer else [])],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# Trust the header only if a proxy is configured; otherwise clients could set it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS and KARGOWEB.forwarded_hops else None
SILENCED_SYSTEM_CHECKS = [
    "security.W004",  # HSTS applies to the whole host name and is the decision of the Ingress's operator
    "security.W008",  # no HTTPS redirects: Docker Hub may not follow them; the Ingress can redirect browsers
]

# The JSON API: for signed-in users with a role, as the pages. The webhook endpoint has its own classes.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "receivers.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["receivers.api.authentication.TokenThrottle"],
    # Of each token in each process; None means no limit. Waiting costs little, and is repeated every half minute.
    "DEFAULT_THROTTLE_RATES": {
        "token": f"{KARGOWEB.api_rate}/min" if KARGOWEB.api_rate else None,
        "wait": f"{10 * KARGOWEB.api_rate}/min" if KARGOWEB.api_rate else None,
    },
    "DEFAULT_SCHEMA_CLASS": "receivers.api.schema.ApiSchema",
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "receivers.api.permissions.HasRole",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    # Requests without a body may be forms, which contain the CSRF token.
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser", "rest_framework.parsers.FormParser"],
    "EXCEPTION_HANDLER": "receivers.api.problems.exception_handler",
    "URL_FORMAT_OVERRIDE": None,  # there is one format
}

SPECTACULAR_SETTINGS = {
    "TITLE": "kargoweb",
    "DESCRIPTION": "Pushes, deliveries, receivers and Warehouses of a Kargo installation. "
    "See docs/api.md for tokens, pages of lists, and errors.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "LICENSE": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": None,  # as every view
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated", "receivers.api.permissions.HasRole"],
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",  # the default
        "receivers.api.schema.describe",
    ],
    "ENUM_NAME_OVERRIDES": {
        "Origin": "receivers.models.Origin.choices",
        "Outcome": "receivers.models.Outcome.choices",
        "ProbeStep": "receivers.api.serializers.PROBE_STEPS",
    },
    "TAGS": [
        {"name": "Pushes", "description": "What was pushed, its result, and what a push would do."},
        {"name": "Deliveries", "description": "Requests of providers, and what kargoweb responded and did."},
        {"name": "Projects", "description": "Projects, their receivers and Warehouses, and test pushes."},
        {"name": "Findings", "description": "Problems that health checks report."},
        {"name": "Operations", "description": "Statistics, the audit log, and what you may do."},
    ],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        "json": {"()": "kargoweb.logs.JsonLines"},
    },
    "filters": {
        "credentials": {"()": "receivers.deliveries.redaction.RedactCredentials"},
        "faults_only": {"()": "kargoweb.logs.FaultsOnly"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": KARGOWEB.log_format,
            "filters": ["credentials"],
        },
    },
    "loggers": {
        "django.request": {"filters": ["faults_only"]},
        "axes": {"level": "WARNING"},  # the audit log has every sign-in
    },
    "root": {"handlers": ["stderr"], "level": KARGOWEB.log_level},
}
