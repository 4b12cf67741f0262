"""A TCP proxy on loopback that harms its open connections: freezes, cuts or swallows what is open at that moment.

A frozen connection moves no bytes and is not closed: so does a server that hangs. A swallowed one loses even the
closing: so does a firewall that forgot a connection, or a network that is gone. One that is cut is reset. It is a
process of its own (`python -m tests.support.freezing_proxy TARGET_PORT`) and reads one command a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from types import TracebackType
from typing import Self


class FreezingProxy:
    """Passes bytes to a port of this machine. Each kind of harm meets what is open then; new connections work."""

    def __init__(self, target_port: int) -> None:
        self._command = [sys.executable, "-m", "tests.support.freezing_proxy", str(target_port)]
        self.port = 0

    def freeze(self) -> int:
        """Move no more bytes; a peer's closing is passed on. Returns how many connections there were."""
        return self._harm("freeze")

    def swallow(self) -> int:
        """Move no more bytes, and pass no closing on. Returns how many connections there were."""
        return self._harm("swallow")

    def cut(self) -> int:
        """Reset both sides. Returns how many connections there were."""
        return self._harm("cut")

    def _harm(self, kind: str) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kind}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = self._answer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


class _Connection:
    """Both directions of one connection, until it is harmed."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers
        self._moves = asyncio.Event()
        self._closes = asyncio.Event()
        self._moves.set()
        self._closes.set()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._moves.wait()
                writer.write(data)
                await writer.drain()
        await self._closes.wait()
        with contextlib.suppress(OSError):
            writer.close()

    def freeze(self) -> None:
        self._moves.clear()

    def swallow(self) -> None:
        self._moves.clear()
        self._closes.clear()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


async def _serve(target_port: int) -> None:
    connections: set[_Connection] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", target_port)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(writer, forth)
        connections.add(connection)
        await asyncio.gather(connection.pump(reader, forth), connection.pump(back, writer))
        connections.discard(connection)

    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        while kind := (await commands.readline()).decode().strip():
            for each in connections:
                {"freeze": each.freeze, "swallow": each.swallow, "cut": each.cut}[kind]()
            print(len(connections), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
