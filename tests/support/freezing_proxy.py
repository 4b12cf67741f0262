"""A TCP proxy on loopback that stops moving bytes on its open connections without closing them.

So does a firewall that forgot a connection, or a server that hangs: the socket looks open for ever. It is a
process of its own (`python -m tests.support.freezing_proxy TARGET_PORT`); SIGUSR1 freezes what is open then.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self


class FreezingProxy:
    """Passes bytes to a port of this machine, until it is told to freeze what is open then."""

    def __init__(self, target_port: int) -> None:
        self._command = [sys.executable, "-m", "tests.support.freezing_proxy", str(target_port)]
        self.port = 0

    def freeze(self) -> int:
        """Freeze all connections that are open now; new ones work. Returns how many there were."""
        self._process.send_signal(signal.SIGUSR1)
        return self._answer()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        self.port = self._answer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            await gate.wait()
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def _serve(target_port: int) -> None:
    gates: list[asyncio.Event] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", target_port)
        gate = asyncio.Event()
        gate.set()
        gates.append(gate)
        await asyncio.gather(_pump(reader, forth, gate), _pump(back, writer, gate))

    def freeze() -> None:
        for gate in gates:
            gate.clear()
        print(len(gates), flush=True)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, freeze)
    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
