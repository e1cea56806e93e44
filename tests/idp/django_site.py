"""What the Django project shows: the provider's own addresses, a page to log in, and the side door of the tests.

Imported once the project is set up, as Django asks of what uses its models.
"""

import json
from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib.auth.models import Group, User
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider.models import get_application_model
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.settings import oauth2_settings
from rsa_key import new_key

IN_ID_TOKEN = [True]


def fill(told: list[dict[str, Any]]) -> None:
    """Make these accounts."""
    for account in told:
        email = account["email"]
        made = User.objects.create_user(email, email, account["password"], first_name=account["name"])
        made.groups.set([Group.objects.get_or_create(name=group)[0] for group in account["groups"]])


class Claims(OAuth2Validator):
    """What the provider says of an account."""

    oidc_claim_scope: ClassVar[dict[str, str]] = {
        **OAuth2Validator.oidc_claim_scope,
        "groups": "profile",
        "email_verified": "email",
    }

    def get_additional_claims(self, request: Any) -> dict[str, Any]:
        user: User = request.user
        return {
            "name": user.first_name,
            "email": user.email,
            "email_verified": True,
            "groups": [group.name for group in user.groups.all()],
        }

    def get_oidc_claims(self, token: Any, token_handler: Any, request: Any) -> dict[str, Any]:
        told = super().get_oidc_claims(token, token_handler, request)
        return told if IN_ID_TOKEN[0] or token_handler is None else {"sub": told["sub"]}


def clients(told: dict[str, Any]) -> None:
    application = get_application_model()
    application.objects.filter(client_id=told["client_id"]).delete()
    application.objects.create(
        client_id=told["client_id"],
        client_secret=told["client_secret"],
        redirect_uris=" ".join(told["redirect_uris"]),
        name="the hub",
        client_type=application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=application.GRANT_AUTHORIZATION_CODE,
        algorithm=application.RS256_ALGORITHM,
    )


def accounts(told: dict[str, Any]) -> None:
    User.objects.filter(username=told["email"]).update(is_active=not told["disabled"])


def keys(_told: dict[str, Any]) -> None:
    oauth2_settings.OIDC_RSA_PRIVATE_KEY = new_key()


def claims(told: dict[str, Any]) -> None:
    IN_ID_TOKEN[0] = told["in_id_token"]


DOORS: dict[str, Callable[[dict[str, Any]], None]] = {
    "clients": clients,
    "accounts": accounts,
    "keys": keys,
    "claims": claims,
}


@csrf_exempt
def side_door(request: HttpRequest, name: str) -> JsonResponse:
    DOORS[name](json.loads(request.body or b"{}"))
    return JsonResponse({})


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("accounts/", include("django.contrib.auth.urls")),
    path("side-door/<str:name>", side_door),
]
