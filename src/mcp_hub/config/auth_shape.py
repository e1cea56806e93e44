"""The shape of `auth`, which says with which credential an upstream is called.

Rule: every key belongs to some types; one that does not belong to the type that is said is a problem at its place.
"""

import re
from typing import Annotated, Final, NamedTuple

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from mcp_hub.config.addresses import Address
from mcp_hub.config.auth_fields import (
    BroughtName,
    Chosen,
    DocumentUrl,
    OwnHeaderName,
    Parameter,
    PrivateKey,
    Resource,
    Scheme,
    SignInPage,
)
from mcp_hub.config.fields import Choice, Json, Switch, Text, wrong
from mcp_hub.config.headers import HeaderValue
from mcp_hub.config.login_fields import IssuerUrl, Label, Scope, SecretText
from mcp_hub.config.part import Part
from mcp_hub.secret import Secret

TYPES: Final = ("none", "api_key", "header", "oauth", "client_credentials")
CLAIMS: Final = ("email", "subject", "issuer", "tenant", "name", "groups")
SOURCES: Final = ("value", "from", "per_user", "claim")
"""Where the value of a header comes from: exactly one of these is said."""

_AT_A_SERVER: Final = frozenset({"type", "issuer", "client_id", "client_secret", "token_url", "scopes", "resource"})
KEYS: Final = {
    "none": frozenset({"type"}),
    "api_key": frozenset({"type", "value"}),
    "header": frozenset({"type", "name", "scheme", *SOURCES}),
    "oauth": _AT_A_SERVER
    | {"authorization_url", "revocation_url", "extra_params", "document_url", "unadvertised_pkce"},
    "client_credentials": _AT_A_SERVER | {"private_key"},
}
"""Which keys belong to which type."""

_NEEDED: Final = {"api_key": ("value",), "header": ("name",), "client_credentials": ("issuer", "client_id")}
_EXAMPLES: Final = {
    "value": 'as in  value: "${WIKI_KEY}"',
    "name": "as in  name: X-API-Key",
    "issuer": "as in  issuer: https://id.example.com",
    "client_id": "as in  client_id: mcp-hub",
}
_ONE_OF: Final = {"header": SOURCES, "client_credentials": ("client_secret", "private_key")}
_CHOOSING: Final = {
    "header": "as in  {type: header, name: X-API-Key, per_user: true}",
    "client_credentials": "private_key is safer: it never leaves the hub",
}


def _by_type() -> Json:
    """What an editor checks of the type that is said."""
    rules: list[Json] = []
    for name, keys in KEYS.items():
        then: Json = {"propertyNames": {"enum": sorted(keys)}, "required": list(_NEEDED.get(name, ()))}
        if name in _ONE_OF:
            then["oneOf"] = [{"required": [key]} for key in _ONE_OF[name]]
        said = {"properties": {"type": {"const": name}}, "required": ["type"]}
        rules.append({"if": said, "then": then})
    return {"allOf": rules}


class _Fault(NamedTuple):
    key: str
    sentence: str
    hint: str


class AuthShape(Part):
    """The credential for an upstream. `auth: none` is short for `auth: {type: none}`, and `auth: oauth` likewise.

    Who gets which is one table, in [credentials](credentials.md#which-one-is-used).
    """

    model_config = ConfigDict(json_schema_extra=_by_type())

    type: Annotated[str, Choice(TYPES)] = Field(
        description="`none`: no credential. `api_key`: one key for all callers, sent as a bearer token. `header`: a"
        " header, for all callers or of each one's own. `oauth`: each caller signs in there with their own account."
        " `client_credentials`: the hub acts there as itself."
    )
    value: Annotated[Secret | None, HeaderValue()] = Field(
        default=None,
        description="For `api_key` the key, for `header` what it holds for all callers. Take it from a variable:"
        " `${WIKI_KEY}`.",
    )
    name: Annotated[str | None, OwnHeaderName()] = Field(
        default=None, description="For `header`: the header that is sent, as in `X-API-Key` or `Authorization`."
    )
    scheme: Annotated[str | None, Scheme()] = Field(
        default=None, description="For `header`: what stands before the value, as in `Bearer`."
    )
    from_: Annotated[str | None, BroughtName()] = Field(
        default=None,
        alias="from",
        description="For `header`: the header of the caller's request that holds the value. No other one is passed on.",
    )
    per_user: Annotated[bool | None, Chosen()] = Field(
        default=None, description="For `header`: each user pastes theirs once, on the connections page."
    )
    claim: Annotated[str | None, Choice(CLAIMS)] = Field(
        default=None, description="For `header`: it says who the caller is, as the login knows them."
    )
    issuer: Annotated[str | None, IssuerUrl()] = Field(
        default=None,
        description="For `oauth` the only authorization server that is taken, for `client_credentials` the one that is"
        " asked; exactly as it writes itself.",
    )
    client_id: Annotated[str | None, Label()] = Field(
        default=None,
        description="For `oauth` and `client_credentials`: as what the hub is known there. For `oauth` it may be left"
        " out where the server takes the hub's document, or lets it register itself.",
    )
    client_secret: Annotated[Secret | None, SecretText()] = Field(
        default=None,
        description="For `oauth` and `client_credentials`: what it proves that with. Take it from a variable.",
    )
    private_key: Annotated[Secret | None, PrivateKey()] = Field(
        default=None,
        description="For `client_credentials`, instead of a secret: the key it signs with, in PEM from a variable, or"
        " `file:PATH`.",
    )
    authorization_url: Annotated[str | None, SignInPage()] = Field(
        default=None, description="For `oauth`, where it cannot be found out: the page on which users sign in."
    )
    token_url: Annotated[str | None, Address()] = Field(
        default=None, description="For `oauth` and `client_credentials`, where it cannot be found out."
    )
    revocation_url: Annotated[str | None, Address()] = Field(
        default=None, description="For `oauth`, where it cannot be found out: who is told that a user disconnects."
    )
    scopes: list[Annotated[str, Scope()]] | None = Field(
        default=None,
        description="For `oauth` and `client_credentials`: what is asked for. Left out, for `oauth` what the server"
        " says, else nothing is said.",
    )
    extra_params: dict[Annotated[str, Parameter()], Annotated[str, Text()]] = Field(
        default={}, description="For `oauth`: further parameters of the address on which users sign in."
    )
    resource: Annotated[str | None, Resource()] = Field(
        default=None,
        description="For `oauth` and `client_credentials`: what tokens are asked for (RFC 8707). Left out, for `oauth`"
        " what the server says, else the upstream's own address; `false` for servers that refuse to be told.",
    )
    document_url: Annotated[str | None, DocumentUrl()] = Field(
        default=None,
        description="For `oauth`: where the hub's client document is published, if not at the hub itself.",
    )
    unadvertised_pkce: Annotated[bool, Switch()] = Field(
        default=False,
        description="For `oauth`: take a server that does not say that it knows PKCE. Only if you know that it does.",
    )

    @model_validator(mode="after")
    def _as_the_type_says(self) -> "AuthShape":
        faults = [*self._strangers(), *self._missing()]
        if faults:
            raise ValidationError.from_exception_data(
                "auth",
                [
                    InitErrorDetails(
                        type=wrong(fault.sentence, fault.hint, at_key=bool(fault.key)), loc=loc, input=None
                    )
                    for fault in faults
                    for loc in [(fault.key,) if fault.key else ()]
                ],
            )
        return self

    @property
    def said(self) -> frozenset[str]:
        """The keys that stand there, as they are written."""
        return frozenset("from" if name == "from_" else name for name in self.model_fields_set)

    def _strangers(self) -> list[_Fault]:
        faults: list[_Fault] = []
        for key in sorted(self.said - KEYS[self.type]):
            types = " and ".join(name for name, keys in KEYS.items() if key in keys)
            hint = f"it is for {types}; remove it, or change 'type'"
            faults.append(_Fault(key, f"does not belong to type {self.type}", hint))
        return faults

    def _missing(self) -> list[_Fault]:
        faults = [
            _Fault("", f"type {self.type} needs '{key}'", _EXAMPLES[key])
            for key in _NEEDED.get(self.type, ())
            if key not in self.said
        ]
        one_of = _ONE_OF.get(self.type, ())
        if one_of and len(self.said & set(one_of)) != 1:
            listed = ", ".join(f"'{key}'" for key in one_of)
            faults.append(_Fault("", f"set exactly one of {listed}", _CHOOSING[self.type]))
        if self.type == "api_key" and self.value is not None and re.search(r"\s", self.value.open()):
            faults.append(_Fault("value", "holds a space, which no key does", "the hub itself puts 'Bearer' before it"))
        if self.type == "oauth" and "client_secret" in self.said and "client_id" not in self.said:
            faults.append(_Fault("client_secret", "has no effect without 'client_id'", "add the id it belongs to"))
        return faults
