"""How every benchmark reports: a table to read and a JSON file to keep."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


def report(name: str, title: str, rows: Sequence[Mapping[str, Any]], *, notes: Sequence[str] = ()) -> Path:
    """Print `rows` as a table and write them, with the machine and the time, to results/NAME.json."""
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(shown(value) for value in row.values()))
    console = Console()
    console.print(table)
    for note in notes:
        console.print(note)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {
        "benchmark": name,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpus": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "rows": [dict(row) for row in rows],
        "notes": list(notes),
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path


def shown(value: Any) -> str:
    """Return a value as tables show it."""
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
