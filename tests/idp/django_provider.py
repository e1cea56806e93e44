"""An identity provider made of `django-oauth-toolkit`: two files of Django and no more.

It differs from the one of `oidc-provider` in what a hub must not take for granted: its issuer has a path, its keys are
RSA, its metadata may be cached for an hour, its answers carry no `iss`, it asks for consent itself, and its subjects
are plain numbers. Its accounts are given as JSON in the first argument, the side door is the same; it prints
`Endpoint <issuer>`. Runs in the environment of `tests/idp_tools.py`.
"""

import importlib
import json
import logging
import secrets
import signal
import sys
import tempfile
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from rsa_key import new_key

LOGIN = """<!doctype html><title>Log in</title>{{ form.errors }}<form method="post">{% csrf_token %}{{ form }}
<button>Log in</button></form>"""
BASE = "<!doctype html><title>Authorize</title>{% block content %}{% endblock %}"
APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "oauth2_provider"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = {"registration/login.html": LOGIN, "oauth2_provider/base.html": BASE}
OAUTH = {
    "OIDC_ENABLED": True,
    "OAUTH2_VALIDATOR_CLASS": "django_site.Claims",
    "SCOPES": {"openid": "Who you are", "profile": "Your name and groups", "email": "Your address"},
    "DEFAULT_SCOPES": ["openid"],
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
}


def configure(folder: Path) -> None:
    """The whole project, without a migration: the tables are made as the models are."""
    loaders = [("django.template.loaders.locmem.Loader", TEMPLATES), "django.template.loaders.app_directories.Loader"]
    settings.configure(
        SECRET_KEY=secrets.token_hex(),
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="django_site",
        LOGIN_URL="/accounts/login/",
        INSTALLED_APPS=APPS,
        MIDDLEWARE=MIDDLEWARE,
        MIGRATION_MODULES={app.rpartition(".")[2]: None for app in APPS},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "idp.db"}},
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": loaders,
                    "context_processors": ["django.template.context_processors.request"],
                },
            }
        ],
        # The accounts are the tests' own: nothing is gained by making their passwords slow to check.
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        OAUTH2_PROVIDER={**OAUTH, "OIDC_RSA_PRIVATE_KEY": new_key()},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        LOGGING_CONFIG=None,
    )
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_told: Any) -> None:
        pass


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        configure(Path(folder))
        importlib.import_module("django_site").fill(json.loads(sys.argv[1]))
        server = make_server("127.0.0.1", 0, WSGIHandler(), Server, Quiet)
        signal.signal(signal.SIGTERM, lambda *_told: sys.exit(0))
        print(f"Endpoint http://127.0.0.1:{server.server_port}/o", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    main()
