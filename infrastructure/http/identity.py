"""Who a person is: a JWT of the school's identity service, verified here (RFC 7519, RFC 8725).

One kind of key at a time, HS256 with a shared secret or RS256/ES256 with published keys: with both, a public key could
be passed off as a secret. A token names its algorithm and its key's id, and nothing else in its header is heeded: `jku`,
`x5u` and `jwk` would let its writer choose the key.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol

import httpx
import jwt
import structlog
from starlette.requests import HTTPConnection

from infrastructure.input_files import read_input, require_file
from infrastructure.settings import Settings, SettingsError

_log = structlog.get_logger(__name__)

LONGEST_TOKEN: Final = 8192
_LONGEST_NAME: Final = 255
_LARGEST_KEY_SET: Final = 1_000_000
_WEB: Final = ("http://", "https://")
_KEYS_FRESH_S: Final = 300.0
_KEYS_PAUSE_S: Final = 15.0
"""A token with an unknown key id makes the keys be read again, at most so often."""
_FETCH_TIMEOUT_S: Final = 5.0

TEACHER: Final = "teacher"
EXAMINER: Final = "examiner"
OPERATOR: Final = "operator"
ROLES: Final = frozenset({TEACHER, EXAMINER, OPERATOR})


@dataclass(frozen=True, slots=True)
class Identity:
    """A person. `until` is the Unix time in seconds at which what proved it ends."""

    subject: str
    roles: frozenset[str]
    until: float


_MOST_KNOWN: Final = 10_000
"""Tokens that a verifier knows; each takes about 1 KB."""


class InvalidTokenError(Exception):
    """The token proves nothing; the text says why, without a word of the token."""


class Keys(Protocol):
    """The keys that tokens are verified with."""

    @property
    def algorithms(self) -> Sequence[str]:
        """The algorithms that a token may name."""

    async def key_of(self, header: Mapping[str, Any]) -> Any:
        """Return the key for a token. Raises InvalidTokenError when there is none."""


class SharedSecret:
    """HS256: anyone who can verify can also sign."""

    algorithms: Final = ("HS256",)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def key_of(self, header: Mapping[str, Any]) -> str:  # noqa: ARG002 - there is one key
        """Return the secret."""
        return self._secret


class KeySet:
    """RS256 and ES256 keys of a JWKS (RFC 7517), read again when they are old or a token names an unknown one."""

    algorithms: Final = ("RS256", "ES256")

    def __init__(self, read: Callable[[], Awaitable[bytes]]) -> None:
        self._read = read
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._read_at = self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def key_of(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        """Return the key that the token names, or the only one where it names none."""
        wanted = header.get("kid")
        now = time.monotonic()
        if self._found(wanted) is None or now - self._read_at > _KEYS_FRESH_S:
            await self._refresh()
        found = self._found(wanted)
        if found is None:
            raise InvalidTokenError("The token names a key that is not known here.")
        if found.algorithm_name != header.get("alg"):
            raise InvalidTokenError("The token's algorithm is not that of its key.")
        return found

    def _found(self, wanted: object) -> jwt.PyJWK | None:
        if wanted is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(wanted) if isinstance(wanted, str) else None

    async def _refresh(self) -> None:
        async with self._lock:
            if time.monotonic() - self._tried_at < _KEYS_PAUSE_S:
                return
            self._tried_at = time.monotonic()
            try:
                key_set = jwt.PyJWKSet.from_json((await self._read()).decode())
            except (OSError, httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
                # The keys from before stay: an identity service that restarts must not lock everybody out.
                _log.warning("identity.keys_unreadable", error=type(error).__name__)
                return
            self._keys = {
                key.key_id: key
                for key in key_set.keys
                if key.algorithm_name in self.algorithms and key.public_key_use in {None, "sig"}
            }
            self._read_at = time.monotonic()


def keys_from(settings: Settings) -> Keys | None:
    """Return the keys that the settings name, None where they name none.

    Raises SettingsError where they name what is not a file.
    """
    if settings.jwt_secret is not None:
        return SharedSecret(settings.jwt_secret.get_secret_value())
    place = settings.jwt_jwks
    if place is None:
        return None
    if not place.startswith(_WEB):
        try:
            require_file(place, most=_LARGEST_KEY_SET)
        except FileNotFoundError:
            pass  # it may come later, as keys at an address may
        except OSError as error:
            raise SettingsError(f"RAS_JWT_JWKS: {place} cannot be read: {error.strerror}.") from error
    return KeySet(reader(place))


def reader(place: str) -> Callable[[], Awaitable[bytes]]:
    """Return what reads a key set, a file or an address."""

    async def from_url() -> bytes:
        async with httpx.AsyncClient(timeout=_FETCH_TIMEOUT_S, follow_redirects=False) as client:
            answer = await client.get(place)
            answer.raise_for_status()
            if len(answer.content) > _LARGEST_KEY_SET:
                raise ValueError("the key set is too large")
            return answer.content

    async def from_file() -> bytes:
        return await asyncio.to_thread(read_input, place, most=_LARGEST_KEY_SET)

    return from_url if place.startswith(_WEB) else from_file


class _Verified(NamedTuple):
    """A token that was verified: whose it is, and by which key."""

    identity: Identity
    header: Mapping[str, Any]
    key: object


class TokenVerifier:
    """Verifies tokens. Without keys it accepts none.

    A client that comes back brings the token that it had. Verified once, it is known by its hash until it expires, for
    as long as its key is the one that is published.
    """

    def __init__(
        self, keys: Keys | None, *, audience: str, issuer: str, leeway_s: float, roles_claim: str
    ) -> None:
        self._keys = keys
        self._audience = audience
        self._issuer = issuer
        self._leeway_s = leeway_s
        self._roles_claim = roles_claim
        self._known: OrderedDict[bytes, _Verified] = OrderedDict()

    async def verify(self, token: str) -> Identity:
        """Return whose token it is. Raises InvalidTokenError."""
        keys = self._keys_for(token)
        name = sha256(token.encode()).digest()
        known = self._known.pop(name, None)
        if (
            known is None
            or known.identity.until <= time.time()
            or await keys.key_of(known.header) is not known.key
        ):
            known = await self._verified(token, keys)
        self._known[name] = known
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return known.identity

    async def claims(self, token: str) -> Mapping[str, Any]:
        """Return what a valid token claims. Raises InvalidTokenError."""
        return (await self._decoded(token, self._keys_for(token)))[0]

    async def _verified(self, token: str, keys: Keys) -> _Verified:
        claims, header, key = await self._decoded(token, keys)
        try:
            until = float(claims["exp"]) + self._leeway_s
        except OverflowError as error:  # a whole number in JSON has no largest one
            raise InvalidTokenError("The token is not valid.") from error
        identity = Identity(subject_in(claims, "sub"), roles_in(claims.get(self._roles_claim)), until)
        return _Verified(identity, header, key)

    def _keys_for(self, token: str) -> Keys:
        """Return the keys. Raises InvalidTokenError where there are none, or for what cannot be a token."""
        if self._keys is None:
            raise InvalidTokenError(
                "Tokens are not accepted here: RAS_JWT_SECRET or RAS_JWT_JWKS is not set."
            )
        if len(token) > LONGEST_TOKEN:
            raise InvalidTokenError(f"The token is longer than {LONGEST_TOKEN} characters.")
        if not token.isascii():  # PyJWT cannot even encode a half of a surrogate pair
            raise InvalidTokenError("The token is not valid.")
        return self._keys

    async def _decoded(self, token: str, keys: Keys) -> tuple[Mapping[str, Any], Mapping[str, Any], object]:
        """Return claims, header and key of a valid token. Raises InvalidTokenError."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in keys.algorithms:
                raise InvalidTokenError("The token is signed in a way that is not accepted here.")
            key = await keys.key_of(header)
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(keys.algorithms),
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway_s,
                options={"require": ["exp", "aud", "iss", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise InvalidTokenError("The token has expired. Get a new one.") from error
        except jwt.PyJWTError as error:
            raise InvalidTokenError(_REASONS.get(type(error), "The token is not valid.")) from error
        return claims, header, key


def user_tokens(settings: Settings) -> TokenVerifier:
    """Return the verifier of the tokens of the school's identity service."""
    return TokenVerifier(
        keys_from(settings),
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
        leeway_s=settings.jwt_leeway_s,
        roles_claim=settings.jwt_roles_claim,
    )


def subject_in(claims: Mapping[str, Any], name: str) -> str:
    """Return the user's id in the claim `name`. Raises InvalidTokenError."""
    subject = claims.get(name)
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_NAME or _UNSTORABLE.search(subject):
        raise InvalidTokenError("The token's subject cannot be a user's id.")
    return subject


_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What no text in the database can hold: NUL, and half of a surrogate pair."""

_REASONS: Final[Mapping[type[Exception], str]] = {
    jwt.InvalidAudienceError: "The token is for another audience.",
    jwt.InvalidIssuerError: "The token is of another issuer.",
    jwt.ImmatureSignatureError: "The token is not valid yet.",
    jwt.MissingRequiredClaimError: "The token lacks one of exp, aud, iss, sub.",
}


def roles_in(claim: object) -> frozenset[str]:
    """Return the known roles in a claim: a list, or one text with blanks between. Everybody is a teacher."""
    given = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return frozenset({TEACHER, *(role for role in given if isinstance(role, str) and role in ROLES)})


def bearer_token(connection: HTTPConnection) -> str | None:
    """Return the token in `Authorization: Bearer`, None where there is none."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
