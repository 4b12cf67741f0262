"""How every command starts: settings read, logging set up, the fast event loop where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from infrastructure.settings import Settings, load_settings
from infrastructure.telemetry import configure_logging


def prepared() -> Settings:
    """Read the settings and set up logging. Raises SettingsError."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    return settings


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` on the fast event loop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)
