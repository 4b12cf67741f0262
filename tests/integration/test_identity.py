"""Who a token says somebody is, and which tokens say nothing."""

from __future__ import annotations

import base64
import hmac
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from infrastructure.http import identity
from infrastructure.http.identity import Identity, InvalidTokenError, KeySet, TokenVerifier, user_tokens
from infrastructure.settings import Settings
from tests.support.people import SECRET, claims, token_for


async def verified(token: str, **settings: Any) -> Identity:
    """Return whose token it is, with the settings of RAS."""
    given = Settings(_env_file=None, **{"jwt_secret": SECRET, **settings})
    return await user_tokens(given).verify(token)


async def test_the_subject_is_the_teacher_and_everybody_is_one() -> None:
    identity = await verified(token_for("teacher-0001"))

    assert identity.subject == "teacher-0001"
    assert identity.roles == {"teacher"}
    assert identity.until > time.time()


@pytest.mark.parametrize("roles", [["operator", "janitor", 7], "operator janitor"])
async def test_known_roles_come_from_the_claim_that_the_settings_name(roles: object) -> None:
    token = token_for("teacher-0001", groups=roles)

    assert (await verified(token, jwt_roles_claim="groups")).roles == {"teacher", "operator"}
    assert (await verified(token)).roles == {"teacher"}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": time.time() - 60}, "expired"),
        ({"nbf": time.time() + 86_400}, "not valid yet"),
        ({"aud": "elsewhere"}, "audience"),
        ({"iss": "somebody"}, "issuer"),
        ({"sub": ""}, "subject"),
        ({"sub": "x" * 256}, "subject"),
        ({"sub": "a\0b"}, "subject"),
        ({"sub": 7}, "not valid"),
    ],
)
async def test_a_token_with_wrong_claims_is_refused_with_the_reason(
    changed: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidTokenError, match=reason):
        await verified(token_for("teacher-0001", **changed))


@pytest.mark.parametrize("name", ["exp", "aud", "iss", "sub"])
async def test_a_token_without_a_required_claim_is_refused(name: str) -> None:
    content = claims("teacher-0001")
    del content[name]

    with pytest.raises(InvalidTokenError):
        await verified(jwt.encode(content, SECRET, algorithm="HS256"))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "x" * 100_000,
        jwt.encode(claims("teacher-0001"), "another secret of thirty-two bytes", algorithm="HS256"),
        jwt.encode(claims("teacher-0001"), "", algorithm="none"),
        jwt.encode(claims("teacher-0001"), SECRET * 2, algorithm="HS512"),
        "\ud800.b.c",
        "é.é.é",
        base64.b64encode(b'{"alg":"HS256","x":' + b"[" * 4000).decode() + ".e30.x",
    ],
)
async def test_a_forged_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidTokenError):
        await verified(token)


@pytest.mark.parametrize(
    "changed",
    [{"exp": 10**400}, {"exp": float("inf")}, {"sub": "\ud800"}, {"sub": "a\0"}, {"nbf": float("inf")}],
)
async def test_a_signed_token_with_claims_beyond_all_bounds_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidTokenError):
        await verified(token_for("teacher-0001", **changed))


async def test_clocks_may_differ_as_far_as_the_settings_say() -> None:
    token = token_for("teacher-0001", exp=time.time() - 20)

    assert (await verified(token, jwt_leeway_s=60)).subject == "teacher-0001"
    with pytest.raises(InvalidTokenError, match="expired"):
        await verified(token, jwt_leeway_s=0)


async def test_without_keys_no_token_is_accepted_and_both_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTokenError, match="RAS_JWT_SECRET"):
        await verified(token_for("teacher-0001"), jwt_secret=None)
    with pytest.raises(ValueError, match="exclude each other"):
        Settings(_env_file=None, jwt_secret=SECRET, jwt_jwks=str(tmp_path / "keys.json"))


class _Published:
    """Keys as an identity service publishes them, and how often they were read."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.reads = 0

    def key_set(self) -> dict[str, Any]:
        """Return the JWKS."""
        rsa_key = jwt.algorithms.RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True)
        ec_key = jwt.algorithms.ECAlgorithm.to_jwk(self.ec.public_key(), as_dict=True)
        return {"keys": [{**rsa_key, "kid": "r", "use": "sig"}, {**ec_key, "kid": "e", "alg": "ES256"}]}

    async def read(self) -> bytes:
        """Return it as bytes, as a server would."""
        self.reads += 1
        return json.dumps(self.key_set()).encode()


@pytest.fixture(scope="module")
def published() -> _Published:
    """One set of keys; making them is slow."""
    return _Published()


async def test_published_keys_verify_rs256_and_es256(published: _Published, tmp_path: Path) -> None:
    place = tmp_path / "keys.json"
    place.write_text(json.dumps(published.key_set()), encoding="utf-8")
    of_file = {"jwt_secret": None, "jwt_jwks": str(place)}
    content = claims("teacher-0001")

    for key, algorithm, name in ((published.rsa, "RS256", "r"), (published.ec, "ES256", "e")):
        token = jwt.encode(content, key, algorithm=algorithm, headers={"kid": name})
        assert (await verified(token, **of_file)).subject == "teacher-0001"


async def test_a_public_key_is_not_a_shared_secret(published: _Published, tmp_path: Path) -> None:
    place = tmp_path / "keys.json"
    place.write_text(json.dumps(published.key_set()), encoding="utf-8")
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "kid": "r"}, claims("teacher-0001"))
    )
    signature = hmac.digest(place.read_bytes(), head + b"." + body, "sha256")
    forged = b".".join((head, body, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()

    with pytest.raises(InvalidTokenError, match="way that is not accepted"):
        await verified(forged, jwt_secret=None, jwt_jwks=str(place))


async def test_keys_that_the_token_itself_brings_are_ignored(published: _Published, tmp_path: Path) -> None:
    place = tmp_path / "keys.json"
    place.write_text(json.dumps(published.key_set()), encoding="utf-8")
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    brought = jwt.algorithms.RSAAlgorithm.to_jwk(own.public_key(), as_dict=True)
    token = jwt.encode(
        claims("teacher-0001"),
        own,
        algorithm="RS256",
        headers={"kid": "r", "jwk": brought, "jku": "http://127.0.0.1:1/keys"},
    )

    with pytest.raises(InvalidTokenError, match="not valid"):
        await verified(token, jwt_secret=None, jwt_jwks=str(place))


async def test_unknown_key_ids_do_not_make_the_keys_be_read_each_time(published: _Published) -> None:
    keys = KeySet(published.read)

    before = published.reads
    for name in ("x", "y", "z"):
        with pytest.raises(InvalidTokenError, match="key that is not known"):
            await keys.key_of({"kid": name, "alg": "RS256"})

    assert published.reads == before + 1


async def test_keys_that_cannot_be_read_accept_nothing(published: _Published, tmp_path: Path) -> None:
    token = jwt.encode(claims("teacher-0001"), published.rsa, algorithm="RS256", headers={"kid": "r"})

    with pytest.raises(InvalidTokenError, match="not known"):
        await verified(token, jwt_secret=None, jwt_jwks=str(tmp_path / "none.json"))


def _verifier(keys: KeySet) -> TokenVerifier:
    return TokenVerifier(
        keys, audience="huleedu-platform", issuer="huleedu-identity-service", leeway_s=0, roles_claim="roles"
    )


async def test_a_token_that_was_verified_is_not_accepted_once_its_key_is_withdrawn(
    published: _Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [published.key_set(), {"keys": published.key_set()["keys"][1:]}]

    async def read() -> bytes:
        return json.dumps(sets[0]).encode()

    verifier = _verifier(KeySet(read))
    token = jwt.encode(claims("teacher-0001"), published.rsa, algorithm="RS256", headers={"kid": "r"})
    assert await verifier.verify(token) == await verifier.verify(token)

    monkeypatch.setattr(identity, "_KEYS_FRESH_S", -1.0)
    monkeypatch.setattr(identity, "_KEYS_PAUSE_S", 0.0)
    assert (await verifier.verify(token)).subject == "teacher-0001"  # the same key, read again
    del sets[0]
    for _ in range(2):
        with pytest.raises(InvalidTokenError, match="not known"):
            await verifier.verify(token)


async def test_a_token_that_was_verified_is_not_accepted_under_another_key_of_the_same_name(
    published: _Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = _Published()
    sources = [published, other]

    async def read() -> bytes:
        return await sources[0].read()

    verifier = _verifier(KeySet(read))
    token = jwt.encode(claims("teacher-0001"), published.ec, algorithm="ES256", headers={"kid": "e"})
    await verifier.verify(token)
    del sources[0]
    monkeypatch.setattr(identity, "_KEYS_FRESH_S", -1.0)
    monkeypatch.setattr(identity, "_KEYS_PAUSE_S", 0.0)

    with pytest.raises(InvalidTokenError, match="not valid"):
        await verifier.verify(token)


async def test_a_token_that_was_verified_is_verified_in_full_once_it_has_expired() -> None:
    verifier = user_tokens(Settings(_env_file=None, jwt_secret=SECRET))
    token = token_for("teacher-0001")
    first = await verifier.verify(token)
    assert await verifier.verify(token) is first

    [(name, known)] = verifier._known.items()
    ended = replace(first, until=time.time() - 1)
    verifier._known[name] = known._replace(identity=ended)

    assert await verifier.verify(token) == first != ended


async def test_a_verifier_knows_a_bounded_number_of_tokens_and_none_that_was_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(identity, "_MOST_KNOWN", 3)
    verifier = user_tokens(Settings(_env_file=None, jwt_secret=SECRET))
    with pytest.raises(InvalidTokenError):
        await verifier.verify(token_for("teacher-0001", aud="elsewhere"))
    assert not verifier._known
    tokens = [token_for(f"teacher-{number}") for number in range(5)]

    for token in (*tokens, *tokens[2:], tokens[0]):
        await verifier.verify(token)

    assert [each.identity.subject for each in verifier._known.values()] == [
        "teacher-3",
        "teacher-4",
        "teacher-0",
    ]
