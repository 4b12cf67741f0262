"""Makes text from messages, rows and arguments safe for a terminal. Every command prints through it.

An id may hold whatever its sender put into it. Printed as it is, an escape sequence changes the terminal, a newline
forges a line, and a bidirectional control (U+202E) shows an id as another one (CVE-2021-42574, "Trojan Source").
So every character that is not printable (Unicode's categories Other and Separator, but for the blank) is written as
Python writes it in a literal: `\\x1b`, `\\n`, `\\u202e`, `\\ud800`. JSON output has escapes of its own and stays exact.
"""

from __future__ import annotations


def visible(text: str) -> str:
    """Return `text` on one line, with the characters that are not printable as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def visible_lines(text: str) -> str:
    """Return `text` as `visible` does, but for its newlines: for text that we put together of lines, as a log's end."""
    return "\n".join(map(visible, text.split("\n")))
