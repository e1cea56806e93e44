"""How the hub proves who it is, against a server that insists on it."""

import base64
import time
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey, OKPKey, RSAKey

from mcp_hub.oauth.client_proof import LASTS, CannotProve, Prover
from mcp_hub.oauth.pem_key import PemKey
from mcp_hub.oauth.server import Client
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Registration, Source
from rig.client_checks import Known, NotThatClient
from rig.misbehaving_as import MisbehavingAS

pytestmark = pytest.mark.promise("B17", "T54")

ISSUER = "https://as.example"
SHORT = rsa.generate_private_key(65537, 1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PEM = Secret(ECKey.generate_key("P-256").as_pem(private=True).decode())


def client(method: str, secret: str | None = None, name: str = "hub", issuer: str = ISSUER) -> Client:
    registration = Registration(
        *("r1", "default", "up", issuer, name, method, "https://hub/cb", Source.CONFIGURED),
        *(None, None, None, None, 1.0),
    )
    return Client(registration, None if secret is None else Secret(secret))


def test_a_public_client_says_its_name_only():
    made = Prover().proof(client("none"), f"{ISSUER}/token")
    assert (made.headers, made.form) == ({}, {"client_id": "hub"})


def test_name_and_secret_are_encoded_as_forms_before_they_are_joined():
    made = Prover().proof(client("client_secret_basic", "a:b c/ü%", "h:ub"), f"{ISSUER}/token")
    assert base64.b64decode(made.headers["Authorization"].removeprefix("Basic ")) == b"h%3Aub:a%3Ab+c%2F%C3%BC%25"
    assert made.form == {}


def test_a_secret_in_the_form_is_sent_as_it_is():
    made = Prover().proof(client("client_secret_post", "a:b c"), f"{ISSUER}/token")
    assert (made.headers, made.form) == ({}, {"client_id": "hub", "client_secret": "a:b c"})


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"])
def test_what_is_missing_or_not_known_is_said_and_nothing_is_sent(method):
    with pytest.raises(CannotProve):
        Prover().proof(client(method), f"{ISSUER}/token")


@pytest.mark.promise("T31")
def test_a_proof_shows_nothing_of_itself():
    made = Prover().proof(client("client_secret_post", "canary"), f"{ISSUER}/token")
    assert "canary" not in repr(made)
    assert "PRIVATE" not in repr(PemKey(PEM))


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSAKey.generate_key(2048), "RS256"),
        (ECKey.generate_key("P-256"), "ES256"),
        (ECKey.generate_key("P-384"), "ES384"),
        (OKPKey.generate_key("Ed25519"), "EdDSA"),
    ],
)
def test_a_key_signs_with_the_algorithm_of_its_kind(key, algorithm):
    pem = PemKey(Secret(key.as_pem(private=True).decode()))
    head = pem.sign({"sub": "x"}).partition(".")[0]
    assert f'"alg":"{algorithm}"'.encode() in base64.urlsafe_b64decode(head + "==")


@pytest.mark.parametrize(
    "text",
    [
        "canary",
        "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----",
        SHORT,
        ECKey.generate_key("P-256").as_pem(private=False).decode(),
        ECKey.generate_key("secp256k1").as_pem(private=True).decode(),
    ],
    ids=["no pem", "no key", "too short", "public", "unknown curve"],
)
def test_a_key_that_is_no_good_is_refused_without_repeating_it(text):
    with pytest.raises(ValueError, match=r"^this ") as refused:
        PemKey(Secret(text))
    assert "canary" not in str(refused.value)
    assert refused.value.__context__ is None


def test_a_key_that_the_other_side_does_not_take_is_refused():
    with pytest.raises(ValueError, match="does not take"):
        PemKey(PEM, ("RS256",))
    long = Secret(RSAKey.generate_key(2048).as_pem(private=True).decode())
    assert PemKey(long, ("PS256", "ES256")).sign({})


async def test_an_assertion_is_for_one_server_and_one_request():
    async with MisbehavingAS() as server:
        key = PemKey(PEM)
        public = {"keys": [ECKey.import_key(PEM.open()).as_dict(private=False)]}
        server.clients["hub"] = Known(method="private_key_jwt", keys=public)
        ours = client("private_key_jwt", issuer=server.issuer)
        for _ in range(2):
            form = dict(Prover(key).proof(ours, server.token_endpoint).form)
            assert await server.proofs.client({}, form) == "hub"
        with pytest.raises(NotThatClient):
            await server.proofs.client({}, form)  # it has been used
        elsewhere = replace(ours, registration=replace(ours.registration, issuer="https://other.example"))
        with pytest.raises(NotThatClient):
            await server.proofs.client({}, dict(Prover(key).proof(elsewhere, server.token_endpoint).form))
        server.proofs.audience = lambda: server.token_endpoint
        chosen = Prover(key, audience="token_endpoint").proof(ours, server.token_endpoint)
        assert await server.proofs.client({}, dict(chosen.form)) == "hub"


async def test_an_assertion_ends_after_a_minute():
    async with MisbehavingAS() as server:
        public = {"keys": [ECKey.import_key(PEM.open()).as_dict(private=False)]}
        server.clients["hub"] = Known(method="private_key_jwt", keys=public)
        ours = client("private_key_jwt", issuer=server.issuer)
        form = dict(Prover(PemKey(PEM)).proof(ours, server.token_endpoint).form)
        server.now = lambda: time.time() + LASTS + 2
        with pytest.raises(NotThatClient):
            await server.proofs.client({}, form)
