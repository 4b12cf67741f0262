"""Servers as child processes: started on loopback, logged to a file, never left behind."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from infrastructure.errors import OperatorError

_GUARD = Path(__file__).with_name("guard.py")
_POLL_INTERVAL_S = 0.02
_LOWEST_PORT = 16384
_PORTS_TRIED = 100


class EmbeddedServerError(OperatorError):
    """A server that RAS starts itself did not start or stop; the message holds the end of its log."""

    has_lines = True


class GuardedProcess:
    """A running server process, ended at the latest when this process ends (see `guard.py`)."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        stop_signal: signal.Signals,
        grace_s: float,
        environment: Mapping[str, str] | None = None,
        keep_open: Sequence[int] = (),
        remove_after: Path | None = None,
    ) -> None:
        """Start `command`; its output replaces what `log` held.

        `grace_s` is how long the server may take to end after `stop_signal`. `environment` is added to ours.
        `keep_open` are file descriptors that the server inherits (locks that live as long as it does).
        `remove_after` is a folder that is removed once the server has ended.
        """
        self.log = log
        self._grace_s = grace_s
        with log.open("wb") as output:
            self._guard = subprocess.Popen(  # noqa: S603 - the command is ours, no shell
                [
                    *(sys.executable, "-I", "-S", str(_GUARD), str(int(stop_signal)), str(grace_s)),
                    *("" if remove_after is None else str(remove_after), *command),
                ],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                pass_fds=tuple(keep_open),
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """None while the server runs."""
        return self._guard.poll()

    def stop(self) -> None:
        """Ask the server to end and wait until it has; killed after the grace period."""
        self._release()
        self._guard.wait(self._grace_s + 10)

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would."""
        self._release(b"k")
        self._guard.wait(10)

    def wait_until(self, ready: Callable[[], bool], *, deadline_s: float, name: str) -> None:
        """Poll `ready` until it is true.

        Raises EmbeddedServerError, with the server stopped, if it ends first or `deadline_s` seconds pass.
        """
        end = time.monotonic() + deadline_s
        while not ready():
            code = self.exit_code
            if code is None and time.monotonic() < end:
                time.sleep(_POLL_INTERVAL_S)
                continue
            reason = (
                f"was not ready after {deadline_s:g} s" if code is None else f"ended with exit code {code}"
            )
            self.stop()
            raise EmbeddedServerError(f"{name} {reason}; the end of {self.log}:\n{tail(self.log)}")

    def _release(self, last_word: bytes = b"") -> None:
        pipe = self._guard.stdin
        assert pipe is not None
        if not pipe.closed:
            try:
                pipe.write(last_word)
                pipe.close()
            except BrokenPipeError:
                # The guard ended by itself: the server is gone already, and so is the reader of the pipe.
                return


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody uses now; another process may still take it first.

    It lies below the ports that the kernel gives to outgoing connections: a server may take seconds to listen, and
    any connection that is opened meanwhile could get one of those.
    """
    lowest_outgoing = _lowest_outgoing_port()
    if lowest_outgoing > _LOWEST_PORT:
        for _ in range(_PORTS_TRIED):
            port = _LOWEST_PORT + secrets.randbelow(lowest_outgoing - _LOWEST_PORT)
            if port_is_free(port):
                return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        given: int = probe.getsockname()[1]
        return given


def _lowest_outgoing_port() -> int:
    """Return where the kernel's ports for outgoing connections begin, 0 where that cannot be known."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except OSError:
        return 0


def port_is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1 at this port now."""
    with socket.socket() as probe:
        # Servers set this too: without it, connections of a server just stopped keep its port for a minute.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def tail(log: Path, *, lines: int = 30) -> str:
    """The last lines of a log file, for an error message."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
