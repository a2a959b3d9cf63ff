"""Django settings: everything that varies comes from the environment (see .env.example and env.py)."""

from __future__ import annotations

import sys
from importlib.metadata import version

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from webapp import env
from webapp.system.fingerprint import fingerprint

BASE_DIR = env.ROOT
HONE_HOME = env.home()
PRODUCTION = env.is_production()
HTTPS = PRODUCTION and env.text("HONE_PLAIN_HTTP") != "1"
SECRET_KEY = env.secret_key()
DEBUG = env.text("HONE_DEBUG") == "1" and not PRODUCTION
ALLOWED_HOSTS = env.words("HONE_ALLOWED_HOSTS", "" if PRODUCTION else "localhost 127.0.0.1 [::1]")
if PRODUCTION and not ALLOWED_HOSTS:
    raise ImproperlyConfigured("HONE_ALLOWED_HOSTS must be set when HONE_ENV=production.")
CSRF_TRUSTED_ORIGINS = env.words("HONE_TRUSTED_ORIGINS")
PORT = env.integer("HONE_PORT", 8000)
MAX_UPLOAD_BYTES = env.integer("HONE_MAX_UPLOAD_BYTES", 8 * 1024**3)

INSTALLED_APPS = [
    "webapp.accounts",
    "webapp.runs",
    "webapp.metrics",
    "webapp.sweeps",
    "webapp.scaling",
    "webapp.charts",
    "webapp.api",
    "webapp.pages",
    "webapp.system",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_htmx",
    "ninja",
    "axes",
    "csp",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "webapp.handler.static_files",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "webapp.urls"
ASGI_APPLICATION = "webapp.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "webapp.pages.context.chrome",
            ],
            "builtins": ["webapp.pages.templatetags.hone"],
            "loaders": [
                ("django.template.loaders.cached.Loader", ["django.template.loaders.filesystem.Loader"])
                if not DEBUG
                else "django.template.loaders.filesystem.Loader"
            ],
        },
    }
]


def _database(url: str) -> dict[str, object]:
    """Django's dict for a libpq URL; whatever Django has no key for (sslmode, ...) travels in OPTIONS.

    A silent network is noticed within half a minute: libpq alone would wait for many, and a worker with it.
    """
    parts = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    database: dict[str, object] = {names[key]: parts.pop(key) for key in list(parts) if key in names}
    patience = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "tcp_user_timeout": 30_000}
    options = {**patience, **parts}
    return {"ENGINE": "django.db.backends.postgresql", "CONN_HEALTH_CHECKS": True, "OPTIONS": options, **database}


def _pooled(database: dict[str, object]) -> dict[str, object]:
    """The same, with connections that outlive a request: making one costs more than most requests do.

    Each request has a thread of its own, so persistent connections would be one a thread. A request that finds all of
    them taken waits for ten seconds at most.
    """
    most = env.integer("HONE_WEB_CONNECTIONS", 20)
    if most < 1:
        return database
    pool = {"min_size": 0, "max_size": most, "max_idle": 300.0, "timeout": 10.0}
    return {**database, "OPTIONS": {**database["OPTIONS"], "pool": pool}}  # type: ignore[dict-item]


IS_WEB_SERVER = "webapp.asgi" in sys.modules  # it imports this; the worker forks, and a pool's threads would not
DATABASES = {"default": _database(env.database_url())}
if IS_WEB_SERVER:
    DATABASES["default"] = _pooled(DATABASES["default"])
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.redis_url()
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}

SILENT_S = env.integer("HONE_SILENT_S", 20)  # a worker or an attempt that sends no heartbeat for so long is lost
EXTERNAL_SILENT_S = env.integer("HONE_EXTERNAL_SILENT_S", 300)  # the same for the program behind an external run

CELERY_BROKER_URL = env.broker_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULER = "workers.beat:Scheduler"

STORAGE_URL = env.text("HONE_STORAGE_URL", f"file://{HONE_HOME / 'artifacts'}")
STORAGES = {
    "default": {"BACKEND": "webapp.runs.storage.ArtifactStorage"},
    "staticfiles": {"BACKEND": "webapp.system.staticfiles.HashedStorage"}
    if PRODUCTION
    else {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Production has hashed names; here the address changes with the files, so that browsers keep them too.
STATIC_URL = "static/" if PRODUCTION or DEBUG else f"static/{fingerprint(BASE_DIR / 'static', version('plotly'))}/"
STATIC_ROOT = env.text("HONE_STATIC_ROOT", str(HONE_HOME / "static"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "webapp.system.staticfiles.PlotlyFinder",
    "webapp.system.staticfiles.StylesFinder",
]
SERVESTATIC_USE_FINDERS = not PRODUCTION
if not PRODUCTION:
    SERVESTATIC_IMMUTABLE_FILE_TEST = r"^/static/[0-9a-f]{12}/"
FILE_UPLOAD_TEMP_DIR = None
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024**2

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_LOCKOUT_CALLABLE = "webapp.pages.views.sign_in.locked_out"
CSRF_FAILURE_VIEW = "webapp.pages.views.errors.csrf_failure"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^metrics$"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}

LANGUAGE_CODE = "en"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("HONE_LOG_LEVEL", "INFO")},
    "loggers": {"httpx": {"level": "WARNING"}, "axes": {"level": "WARNING"}},
}
