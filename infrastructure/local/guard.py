"""Run one server, and end it when the process that asked for it is gone, however that ended.

A script, not a module to import: `python -I -S guard.py SIGNAL GRACE_S FOLDER COMMAND...`. A FOLDER that is
not empty text is removed once the command has ended.

Theory of operation. The owner holds the only write end of a pipe whose read end is this script's
standard input. The kernel closes the owner's end when the owner ends, after SIGKILL too, so "end of file"
is the one message that cannot get lost. `PR_SET_PDEATHSIG` would be shorter, but it exists on Linux only,
fires when the *thread* that forked ends, and is cleared when a process changes its user.

    owner closes the pipe, or ends     -> SIGNAL to the server, SIGKILL after GRACE_S seconds
    owner writes `k`                   -> SIGKILL at once (tests of crashes)
    server ends                        -> this script ends with its exit code

The guard runs in a session of its own: Ctrl-C at a terminal goes to the owner alone, which may still need
the server while it finishes its work.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from types import FrameType

KILL_NOW = b"k"


def _end_with_owner(server: subprocess.Popen[bytes], stop_signal: int, grace_s: float) -> None:
    if os.read(0, 1) != KILL_NOW:
        server.send_signal(stop_signal)
        try:
            server.wait(grace_s)
        except subprocess.TimeoutExpired:
            sys.stderr.write(f"guard: still running {grace_s:g} s after signal {stop_signal}; killed\n")
        else:
            return
    server.kill()


def main(arguments: list[str]) -> int:
    """Run the command to its end; answers its exit code, 128 + n if signal n ended it."""
    stop_signal, grace_s, folder, command = (
        int(arguments[0]),
        float(arguments[1]),
        arguments[2],
        arguments[3:],
    )
    # `close_fds=False`: a lock that the owner passed on lives as long as the server does.
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)  # noqa: S603 - owner's command

    def forward(_signum: int, _frame: FrameType | None) -> None:
        server.send_signal(stop_signal)

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, forward)
    threading.Thread(target=_end_with_owner, args=(server, stop_signal, grace_s), daemon=True).start()
    code = server.wait()
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    # Not sys.exit: the other thread may sit in read(), and there is nothing to flush.
    os._exit(main(sys.argv[1:]))
