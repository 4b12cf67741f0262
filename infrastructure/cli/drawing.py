"""Draws Vega-Lite specifications in a process of its own: `python -m infrastructure.cli.drawing svg|pdf`.

Standard input is a JSON object of specifications by name, standard output one of drawings by name (a PDF in base64).
The drawing library keeps some 85 MB of memory, which ends with the process. It is an extra: without it the process
ends with `MISSING`.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from infrastructure.errors import OperatorError

MISSING: Final = 3
_PATIENCE_S: Final = 300


class DrawingError(OperatorError):
    """Figures cannot be drawn; the text says what to install, or what the library reported."""


def draw(specs: Mapping[str, Any], form: str = "svg") -> dict[str, str]:
    """The drawings of `specs` by name. Raises DrawingError."""
    command = [sys.executable, "-m", "infrastructure.cli.drawing", form]
    try:
        ended = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, input=json.dumps(specs).encode(), capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DrawingError(f"The figures were not drawn within {_PATIENCE_S} s; try --no-figures.") from error
    if ended.returncode == MISSING:
        raise DrawingError(
            "Figures need vl-convert-python. Install it (pip install 'result-aggregator-service[report]'), or write "
            "the report with --no-figures: it then has the tables alone."
        )
    if ended.returncode:
        last = ended.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise DrawingError(f"The figures could not be drawn: {''.join(last) or ended.returncode}.")
    drawings: dict[str, str] = json.loads(ended.stdout)
    return drawings


def labelled(name: str, title: str, drawing: str) -> str:
    """An SVG element for a page with others: ids of its own, and for screen readers a name instead of its marks."""
    own = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', drawing)
    own = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", own)
    head, _, rest = own.partition(">")
    inner, _, _ = rest.rpartition("</svg>")
    own = f'{head}><g aria-hidden="true">{inner}</g></svg>'
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return own.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def main() -> int:
    """Draw what standard input names."""
    try:
        import vl_convert
    except ImportError:
        return MISSING
    specs = json.load(sys.stdin)
    if sys.argv[1:] == ["pdf"]:
        drawn = {
            name: base64.b64encode(vl_convert.vegalite_to_pdf(json.dumps(spec))).decode()
            for name, spec in specs.items()
        }
    else:
        drawn = {name: vl_convert.vegalite_to_svg(json.dumps(spec)) for name, spec in specs.items()}
    json.dump(drawn, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
