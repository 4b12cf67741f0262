"""How far each reader was behind when somebody looked: a small line beside the number."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Final

_POINTS: Final = 60
_FEWEST: Final = 5
"""With fewer points the line would look like a dot."""
_PACE_S: Final = 1.0
"""Several windows that look at once note one point together."""
_MOST_READERS: Final = 500


class Lags:
    """The last minutes of each reader, noted whenever the status page is shown."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], deque[int]] = {}
        self._noted_at: dict[tuple[str, str], float] = {}

    def noted(self, role: str, source: str, lag: int | None) -> str:
        """Note a lag. Returns the points of an SVG polyline, 60 wide and 16 high; empty without a line to draw."""
        reader = (role, source)
        line = self._lines.setdefault(reader, deque(maxlen=_POINTS))
        now = monotonic()
        if lag is not None and now - self._noted_at.get(reader, 0.0) >= _PACE_S:
            line.append(lag)
            self._noted_at[reader] = now
        if len(self._lines) > _MOST_READERS:
            self._lines.clear()
            self._noted_at.clear()
        if len(line) < _FEWEST:
            return ""
        most = max(1, *line)
        first = _POINTS - len(line)
        return " ".join(f"{first + n},{15 - 14 * each / most:.1f}" for n, each in enumerate(line))
