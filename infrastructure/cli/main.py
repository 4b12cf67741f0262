"""The command `ras`. Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command; a failure that was foreseen is a sentence, not a stack trace.

    What takes long to import is imported in here, so that Ctrl-C is no stack trace meanwhile either.
    """
    try:
        sys.exit(_run())
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - a fault of our own is raised again
        code, text = _told(error)
        sys.stderr.write(text)
        sys.exit(code)
    finally:
        # The interpreter would walk all that imports have left once more before it ends: 0.3 s of CPU for a role.
        gc.freeze()


def _run() -> int:
    from infrastructure.cli.standard_output import finish_output, watch_output

    watch_output()
    try:
        from infrastructure.cli.app import app
        from infrastructure.cli.usage import refuse_undecodable

        refuse_undecodable(sys.argv[1:])
        # On its own, typer would print wrong usage in another way than we do everything else.
        code = app(standalone_mode=False)
        return code if isinstance(code, int) else 0
    finally:
        finish_output()


def _told(error: Exception) -> tuple[int, str]:
    """Return the exit code of a failure and what to print. Raises a fault of our own again."""
    from infrastructure.cli.app import app
    from infrastructure.cli.failures import exit_code_of
    from infrastructure.cli.usage import is_usage, shown_usage

    if is_usage(error):
        return shown_usage(app, error)
    code, sentence = exit_code_of(error)
    if sentence is None:
        raise error
    return code, f"ras: {sentence}\n" if sentence else ""
