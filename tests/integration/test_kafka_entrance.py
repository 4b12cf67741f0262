"""The address of the embedded Kafka: the same at each start in a folder, and closed with the broker."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from aiokafka import AIOKafkaProducer

from infrastructure.local.embedded_kafka import EmbeddedKafka
from infrastructure.local.kafka_entrance import kafka_entrance


async def sent(address: str) -> int:
    """Send a message to the broker behind `address` and return its offset."""
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    try:
        return int((await producer.send_and_wait("essays", b"essay-03.docx", partition=0)).offset)
    finally:
        await producer.stop()


async def test_the_address_stays_over_a_restart_with_another_broker(tmp_path: Path) -> None:
    addresses = []
    for _ in range(2):
        with EmbeddedKafka({"essays": 1}) as kafka:
            async with kafka_entrance(kafka.bootstrap_servers, tmp_path / "port") as address:
                addresses.append(address)
                assert await sent(address) == 0

    assert len(set(addresses)) == 1


async def test_a_port_that_another_program_has_taken_is_replaced(tmp_path: Path) -> None:
    note = tmp_path / "port"
    with socket.create_server(("127.0.0.1", 0)) as other, EmbeddedKafka({"essays": 1}) as kafka:
        taken = other.getsockname()[1]
        note.write_text(str(taken), encoding="ascii")
        async with kafka_entrance(kafka.bootstrap_servers, note) as address:
            assert not address.endswith(f":{taken}")
            assert await sent(address) == 0
        assert note.read_text(encoding="ascii") == address.rpartition(":")[2]


async def test_connections_end_with_the_broker_and_when_the_broker_is_gone(tmp_path: Path) -> None:
    with EmbeddedKafka({"essays": 1}) as kafka:
        broker = kafka.bootstrap_servers
        async with kafka_entrance(broker, tmp_path / "port") as address:
            host, _, port = address.partition(":")
            waiting, writer = await asyncio.open_connection(host, int(port))
            assert await sent(address) == 0
        assert await waiting.read() == b""
        writer.close()

    async with kafka_entrance(broker, tmp_path / "port") as address:
        host, _, port = address.partition(":")
        refused, writer = await asyncio.open_connection(host, int(port))
        assert await refused.read() == b""
        writer.close()
