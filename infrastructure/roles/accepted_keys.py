"""The keys that services share: one, or two while callers change from one to the other."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import SecretStr

from infrastructure.settings import Settings


def accepted_keys(settings: Settings, api_key: SecretStr | None) -> Sequence[str]:
    """Return `api_key` and the secondary one, as far as they are set."""
    given = (api_key, settings.internal_api_key_secondary)
    return [key.get_secret_value() for key in given if key is not None]
