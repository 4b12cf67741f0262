"""People as the school's identity service knows them: their tokens."""

from __future__ import annotations

import time
from typing import Any, Final

import jwt

SECRET: Final = "a secret of the identity service, for tests"
SESSION_KEY: Final = "a-key-that-signs-sessions-and-tickets-for-tests"


def claims(subject: str) -> dict[str, Any]:
    """Return the claims of a token that is valid for an hour."""
    return {
        "sub": subject,
        "exp": time.time() + 3600,
        "aud": "huleedu-platform",
        "iss": "huleedu-identity-service",
    }


def token_for(subject: str, **changed: Any) -> str:
    """Return a token; `changed` are other claims."""
    return jwt.encode({**claims(subject), **changed}, SECRET, algorithm="HS256")
