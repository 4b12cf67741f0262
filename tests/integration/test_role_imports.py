"""A role loads what it is made of and no more: several start at once, and each import is paid by all."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PUT_TOGETHER = """
import asyncio, sys
import infrastructure.cli.app, infrastructure.cli.roles
from infrastructure.roles import bootstrap
from infrastructure.settings import Servers
from infrastructure.settings import Settings
from infrastructure.role_status import RoleStatus
from infrastructure.telemetry import RoleMetrics

if {role!r}.startswith("query_api"):
    from pydantic import SecretStr
    from infrastructure.roles import query_api

async def put_together():
    servers = Servers("postgresql://nowhere.invalid/ras", "nowhere.invalid:9092")
    settings, metrics, status = Settings(), RoleMetrics(), RoleStatus("role")
    wakes = bootstrap.listener(servers, settings)
    {role}

asyncio.run(put_together())
print(*sorted({{name.partition(".")[0] for name in sys.modules}} & set({watched!r})))
"""
_HEAVY = ("aiokafka", "alembic", "numpy", "scipy", "sqlalchemy", "uvicorn")


@pytest.mark.parametrize(
    ("role", "needed"),
    [
        ("bootstrap.ingester(servers, None, settings, metrics, status)", {"aiokafka"}),
        ("bootstrap.publisher(servers, wakes, settings, metrics, status)", {"aiokafka", "numpy"}),
        ("bootstrap.projectors(servers, wakes, settings, metrics)", {"sqlalchemy"}),
        ("query_api.query_app(servers, settings, SecretStr('key'))", {"aiokafka", "sqlalchemy"}),
    ],
    ids=["ingest", "publish", "project", "serve"],
)
def test_of_the_heavy_libraries_a_role_loads_those_that_it_works_with(role: str, needed: set[str]) -> None:
    program = _PUT_TOGETHER.format(role=role, watched=_HEAVY)

    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    ).stdout.split()

    assert set(loaded) == needed
