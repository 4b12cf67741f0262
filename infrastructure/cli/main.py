"""The command `ras`. Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; a failure that was foreseen is a sentence, not a stack trace.

    What takes long to import is imported in here, so that Ctrl-C is no stack trace meanwhile either.
    """
    try:
        from infrastructure.cli.app import app

        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from infrastructure.cli.failures import exit_code_of

        code, sentence = exit_code_of(error)
        if sentence is None:
            raise
        sys.stderr.write(f"ras: {sentence}\n")
        sys.exit(code)
