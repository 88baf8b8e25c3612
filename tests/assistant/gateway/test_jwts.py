"""Tokens of a provider: what is taken, and everything that must not be (RFC 8725)."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from assistant.domain.access import EVERYTHING
from assistant.domain.errors import InvalidRequest, Unavailable
from assistant.gateway import jwts
from assistant.gateway.jwts import FileKeys, JwtVerifier, UrlKeys

ISSUER, AUDIENCE = "https://issuer.example/", "assistant"
RSA, OTHER_RSA = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


def rsa_jwk(key: rsa.RSAPrivateKey = RSA, kid: str = "r1", **more: str) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **more}


def ec_jwk(kid: str = "e1") -> dict[str, Any]:
    return {**ECAlgorithm.to_jwk(EC.public_key(), as_dict=True), "kid": kid}


def key_set(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 600} | changes
    return {name: value for name, value in said.items() if value is not None}


def token(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "r1", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm, headers={"kid": kid} if kid else {})


def raw(header: dict[str, Any], body: dict[str, Any], secret: bytes | None) -> str:
    """A token by hand: for what a library refuses to make."""
    signed = b".".join(_coded(json.dumps(part).encode()) for part in (header, body))
    signature = b"" if secret is None else hmac.new(secret, signed, hashlib.sha256).digest()
    return b".".join((signed, _coded(signature))).decode()


def _coded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(key_set(rsa_jwk(), ec_jwk()), encoding="utf-8")
    return path


@pytest.fixture
def verifier(path: Path) -> JwtVerifier:
    return JwtVerifier(ISSUER, AUDIENCE, ("RS256", "ES256"), FileKeys(path))


async def test_a_token_of_the_issuer_for_us_is_its_subject(verifier: JwtVerifier) -> None:
    until = int(time.time()) + 300
    identity = await verifier.verify(token(exp=until))
    assert (identity.owner, identity.scopes, identity.key_id) == ("jwt:ada", EVERYTHING, None)
    assert identity.expires_at == datetime.fromtimestamp(until + jwts.LEEWAY_SECONDS, UTC)
    assert (await verifier.verify(token(EC, "ES256", "e1"))).owner == "jwt:ada"
    assert (await verifier.verify(token(aud=["other", AUDIENCE]))).owner == "jwt:ada"


FORGED = {
    "no token": "",
    "words": "not a token",
    "three parts": "a.b.c",
    "alg none": raw({"alg": "none", "kid": "r1"}, claims(), None),
    "alg None": raw({"alg": "None", "kid": "r1"}, claims(), None),
    "no alg": raw({"kid": "r1"}, claims(), None),
    "HS256 with the public key in PEM": raw(
        {"alg": "HS256", "kid": "r1"},
        claims(),
        RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ),
    "HS256 with the public key as a JWK": raw({"alg": "HS256", "kid": "r1"}, claims(), json.dumps(rsa_jwk()).encode()),
    "RS256 in its head and an HMAC behind": raw(
        {"alg": "RS256", "kid": "r1"},
        claims(),
        RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ),
    "HS256 with an empty secret": raw({"alg": "HS256", "kid": "r1"}, claims(), b""),
    "another key": token(OTHER_RSA),
    "another key that it brings itself": jwt.encode(
        claims(), OTHER_RSA, "RS256", headers={"kid": "r1", "jwk": rsa_jwk(OTHER_RSA)}
    ),
    "a URL of keys of its own": jwt.encode(
        claims(), OTHER_RSA, "RS256", headers={"kid": "r1", "jku": "https://evil.example/keys"}
    ),
    "a key id that is none": token(kid="r2"),
    "a key id that is a path": token(kid="../../etc/passwd"),
    "no key id, of several keys": token(kid=None),
    "the key of another algorithm": token(kid="e1"),
    "an algorithm that is not set": token(algorithm="RS512"),
    "another issuer": token(iss="https://evil.example/"),
    "an issuer without its slash": token(iss=ISSUER.rstrip("/")),
    "no issuer": token(iss=None),
    "another audience": token(aud="another"),
    "an audience that begins as ours": token(aud="assistant2"),
    "no audience": token(aud=None),
    "no subject": token(sub=None),
    "an empty subject": token(sub=""),
    "a subject that is too long": token(sub="x" * 300),
    "no expiry": token(exp=None),
    "not yet": token(nbf=int(time.time()) + 3600),
    "a crit that nobody knows": jwt.encode(claims(), RSA, "RS256", headers={"kid": "r1", "crit": ["x"], "x": 1}),
    "an expiry beyond all years": token(exp=10**18),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
async def test_what_is_not_taken(verifier: JwtVerifier, forged: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(InvalidRequest) as refused:
        await verifier.verify(forged)
    assert refused.value.code in ("auth_invalid", "owner_invalid")
    if forged:
        assert forged not in caplog.text
        assert forged not in refused.value.message


async def test_every_changed_letter_of_a_token_is_noticed(verifier: JwtVerifier) -> None:
    head, body, signature = token().split(".")
    other = token(sub="eve").split(".")[1]
    for changed in (f"{head}.{other}.{signature}", f"{head}.{body}.{signature[:-4]}AAAA", f"{head}.{body}."):
        with pytest.raises(InvalidRequest):
            await verifier.verify(changed)


async def test_an_expired_token_is_told_apart(verifier: JwtVerifier) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await verifier.verify(token(exp=int(time.time()) - 60))
    assert refused.value.code == "auth_expired"
    assert (await verifier.verify(token(exp=int(time.time()) - 2))).owner == "jwt:ada", "clocks differ"


@pytest.mark.parametrize(
    ("subject", "owner"),
    [
        ("anonymous", "jwt:anonymous"),
        ("ada@example.org", "jwt:ada@example.org"),
        ("a}:image:x", "jwt:a%7D:image:x"),
        ("a%7D:image:x", "jwt:a%257D:image:x"),
        ("Ada Lovelace\n", "jwt:Ada%20Lovelace%0A"),
        ("Zoë", "jwt:Zo%C3%AB"),
    ],
)
async def test_a_subject_is_no_other_owner(verifier: JwtVerifier, subject: str, owner: str) -> None:
    assert (await verifier.verify(token(sub=subject))).owner == owner


@pytest.mark.parametrize(
    ("said", "may_chat"),
    [
        ({}, True),
        ({"scope": "openid profile"}, True),
        ({"scope": "openid read"}, False),
        ({"scope": "read chat"}, True),
        ({"scp": ["read"]}, False),
        ({"scp": 7}, True),
    ],
)
async def test_scopes_of_a_token(verifier: JwtVerifier, said: dict[str, Any], may_chat: bool) -> None:
    identity = await verifier.verify(token(**said))
    assert identity.may("read")
    assert identity.may("chat") is may_chat


# --- Where keys come from -------------------------------------------------------------------------------------------


async def test_a_file_is_read_again_when_it_changes(path: Path, verifier: JwtVerifier) -> None:
    new = token(OTHER_RSA, kid="r2")
    with pytest.raises(InvalidRequest):
        await verifier.verify(new)
    path.write_text(key_set(rsa_jwk(OTHER_RSA, "r2")), encoding="utf-8")
    assert (await verifier.verify(new)).owner == "jwt:ada"
    assert (await verifier.verify(token(OTHER_RSA, kid=None))).owner == "jwt:ada", "the only key needs no id"
    with pytest.raises(InvalidRequest):
        await verifier.verify(token())


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"keys": []}', '{"keys": [{"kty": "none"}]}'])
async def test_a_file_without_keys_is_no_wrong_token(path: Path, verifier: JwtVerifier, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Unavailable) as away:
        await verifier.verify(token())
    assert away.value.code == "auth_unavailable"
    path.unlink()
    with pytest.raises(Unavailable):
        await verifier.verify(token())


async def test_keys_for_encryption_and_secrets_sign_nothing(path: Path) -> None:
    secret = {"kty": "oct", "k": _coded(b"s" * 32).decode(), "kid": "s1"}
    path.write_text(key_set(rsa_jwk(use="enc"), secret), encoding="utf-8")
    verifier = JwtVerifier(ISSUER, AUDIENCE, ("RS256",), FileKeys(path))
    for forged in (token(), token("s" * 32, "HS256", "s1")):
        with pytest.raises(InvalidRequest):
            await verifier.verify(forged)


class Provider:
    """A key set over HTTP."""

    def __init__(self) -> None:
        self.text = key_set(rsa_jwk(), ec_jwk())
        self.status = 200
        self.asked = 0
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                self.send_response(provider.status)
                self.end_headers()
                self.wfile.write(provider.text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    thread = threading.Thread(target=provider.server.serve_forever)
    thread.start()
    yield provider
    provider.server.shutdown()
    thread.join()
    provider.server.server_close()


async def test_keys_at_a_url_are_asked_for_once(provider: Provider) -> None:
    verifier = JwtVerifier(ISSUER, AUDIENCE, ("RS256", "ES256"), UrlKeys(provider.url))
    for good in (token(), token(EC, "ES256", "e1"), token()):
        assert (await verifier.verify(good)).owner == "jwt:ada"
    for _ in range(5):
        with pytest.raises(InvalidRequest):
            await verifier.verify(token(kid="unknown"))
    with pytest.raises(InvalidRequest):
        await verifier.verify(token(kid=None))
    assert provider.asked == 1, "whoever sends unknown keys makes us ask"
    provider.status = 500
    assert (await verifier.verify(token())).owner == "jwt:ada", "kept while the provider is away"


@pytest.mark.parametrize(("status", "text"), [(500, ""), (200, "<html>"), (200, "[]"), (302, "")])
async def test_a_url_that_has_no_keys_is_no_wrong_token(provider: Provider, status: int, text: str) -> None:
    provider.status, provider.text = status, text
    verifier = JwtVerifier(ISSUER, AUDIENCE, ("RS256",), UrlKeys(provider.url))
    with pytest.raises(Unavailable):
        await verifier.verify(token())
    provider.status, provider.text = 200, key_set(rsa_jwk())
    assert (await verifier.verify(token())).owner == "jwt:ada"


async def test_asking_for_keys_does_not_stop_the_loop(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = UrlKeys(provider.url)
    find, begun, go_on = keys.find, threading.Event(), threading.Event()

    def slow(key_id: str | None) -> Any:
        begun.set()
        assert go_on.wait(10)
        return find(key_id)

    monkeypatch.setattr(keys, "find", slow)
    asked = asyncio.create_task(JwtVerifier(ISSUER, AUDIENCE, ("RS256",), keys).verify(token()))
    while not begun.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    go_on.set()  # reached only if the loop goes on
    assert (await asked).owner == "jwt:ada"
