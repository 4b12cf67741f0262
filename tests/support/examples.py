"""How many examples a property test tries: each test's own number, a tenth of it in the fast loop."""

from hypothesis import settings

_FULL = 100
"""What Hypothesis tries unless a profile says otherwise."""


def examples(count: int) -> int:
    """Return `count` scaled by the profile in use: `make test-fast` loads one that tries a tenth."""
    assert settings.default is not None
    return max(1, count * settings.default.max_examples // _FULL)
