"""The start of every command: settings, logging, the fast event loop where there is one."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import structlog

from infrastructure.settings import Settings, load_settings, warnings
from infrastructure.telemetry import configure_logging


def prepared() -> Settings:
    """Read the settings, set up logging, and warn of misspelt settings. Raises SettingsError."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    for sentence in warnings():
        structlog.get_logger(__name__).warning(sentence)
    return settings


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` on the fast event loop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


@contextlib.asynccontextmanager
async def until_interrupted() -> AsyncIterator[asyncio.Event]:
    """Lend an event that Ctrl-C and SIGTERM set."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, interrupted.set)
    try:
        yield interrupted
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
