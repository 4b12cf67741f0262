"""Files that a person names, in a command or a setting: none of them keeps a process forever, or fills the memory."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import sys
import time
from pathlib import Path
from typing import BinaryIO, Final

STANDARD_INPUT: Final = "-"
LARGEST_BYTES: Final = 1 << 30
"""What a command reads whole is kept in memory."""
LARGEST_SETTINGS_BYTES: Final = 1 << 20
"""Of a file that a setting names: keys, certificates, secrets."""

_WRITER_DEADLINE_S: Final = 10.0
_LOOK_S: Final = 0.05


def open_input(file: str | Path) -> BinaryIO:
    """Open a file, a pipe or `-` (standard input) for reading.

    Raises OSError, whose `strerror` goes into the sentence, also for a device without an end (/dev/zero) and for
    a named pipe to which nobody writes within ten seconds.
    """
    if str(file) == STANDARD_INPUT:
        with contextlib.suppress(io.UnsupportedOperation):  # text that a program put there is not a device
            _refuse_device(sys.stdin.fileno(), "standard input")
        return sys.stdin.buffer
    # Without O_NONBLOCK, opening a named pipe waits for its writer, and nothing but a signal ends that.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse_device(descriptor, file)
        first = _first_of_pipe(descriptor, file) if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else b""
        os.set_blocking(descriptor, True)
        opened = os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
    return io.BufferedReader(_Joined(first, opened)) if first else opened


def read_input(file: str | Path, *, most: int = LARGEST_BYTES) -> bytes:
    """Return the whole of a file, a pipe or `-`. Raises OSError, also where it has more than `most` bytes."""
    source = open_input(file)
    try:
        content = source.read(most + 1)
    finally:
        if str(file) != STANDARD_INPUT:
            source.close()
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(file))
    return content


def require_file(file: str | Path, *, most: int = LARGEST_SETTINGS_BYTES) -> None:
    """Raise OSError unless this is a file, of at most `most` bytes, that a library can open by itself, and again.

    OpenSSL and libpq wait forever for a pipe without a writer, and read a device without end.
    """
    status = Path(file).stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    if not stat.S_ISREG(status.st_mode) and status.st_rdev != Path(os.devnull).stat().st_rdev:
        what = "a pipe" if stat.S_ISFIFO(status.st_mode) else "a device or a socket"
        raise OSError(errno.EINVAL, f"it is {what}, not a file", str(file))
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(file))


def _refuse_device(descriptor: int, file: str | Path) -> None:
    """Let files, pipes, sockets, terminals and /dev/null through, which end some time."""
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    is_device = stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
    if is_device and not os.isatty(descriptor) and status.st_rdev != Path(os.devnull).stat().st_rdev:
        raise OSError(errno.EINVAL, "it is a device, not a file", str(file))


def _first_of_pipe(descriptor: int, file: str | Path) -> bytes:
    """Wait until somebody writes to a pipe; return what was read on the way. Empty: a writer is there, or was."""
    deadline = time.monotonic() + _WRITER_DEADLINE_S
    while time.monotonic() < deadline:
        try:
            if first := os.read(descriptor, io.DEFAULT_BUFFER_SIZE):
                return first
        except BlockingIOError:
            return b""  # a writer is there and has written nothing yet: it may take its time
        time.sleep(_LOOK_S)
    raise TimeoutError(
        errno.ETIMEDOUT,
        f"it is a pipe to which nobody has written within {_WRITER_DEADLINE_S:g} s",
        str(file),
    )


class _Joined(io.RawIOBase):
    """What was read already, then the rest."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first = first
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._first:
            count = min(len(buffer), len(self._first))
            buffer[:count], self._first = self._first[:count], self._first[count:]
            return count
        part = self._rest.read1(len(buffer))  # type: ignore[attr-defined]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._rest.close()
        super().close()
