"""An address of the embedded Kafka that stays the same over restarts.

librdkafka lets the system choose its broker's port, another at each start. A Kafka client asks the address that it is
given only where the brokers are, and then connects to those. So connections to a port that is kept are passed on to
the broker, and nearly all messages travel past this.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from infrastructure.local.kept_port import kept_port
from infrastructure.local.processes import EmbeddedServerError

_STARTS: Final = 5
_READ_BYTES: Final = 65_536


@contextlib.asynccontextmanager
async def kafka_entrance(broker: str, port_file: Path) -> AsyncIterator[str]:
    """Lend an address that leads to `broker` (`host:port`), with the port noted in `port_file` if that is free.

    Raises EmbeddedServerError where no port can be had.
    """
    passing = set[asyncio.Task[None]]()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_pass_on(broker, reader, writer))
        passing.add(task)
        task.add_done_callback(passing.discard)

    taken = _bound(port_file)
    server = await asyncio.start_server(accept, sock=taken)
    try:
        yield f"127.0.0.1:{taken.getsockname()[1]}"
    finally:
        server.close()
        for task in tuple(passing):
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


def _bound(port_file: Path) -> socket.socket:
    """Take a port that was free a moment ago and note it; another program may take it first, so try again."""
    for _ in range(_STARTS):
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", kept_port(port_file)))
        except OSError:
            taken.close()
            continue
        port_file.write_text(str(taken.getsockname()[1]), encoding="ascii")
        return taken
    raise EmbeddedServerError("the embedded Kafka did not start: no port of 127.0.0.1 can be had")


async def _pass_on(broker: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy both ways until one side ends; a broker that is gone closes the connection."""
    host, _, port = broker.rpartition(":")
    with contextlib.closing(writer), contextlib.suppress(OSError):
        from_broker, to_broker = await asyncio.open_connection(host, int(port))
        with contextlib.closing(to_broker):
            await asyncio.gather(_copy(reader, to_broker), _copy(from_broker, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer):
        while received := await reader.read(_READ_BYTES):
            writer.write(received)
            await writer.drain()
