"""Embedded Kafka: the in-memory cluster inside librdkafka, which the `confluent-kafka` wheel bundles.

RAS runs on it when no RAS_KAFKA_BOOTSTRAP_SERVERS is given. It speaks Kafka's protocol on 127.0.0.1 to any
client in any process, transactional producers and consumer groups included, and starts in milliseconds. It is
for trying RAS out, not for keeping anything. Its limits:

- Everything is in memory and gone when it stops. The oldest records of a partition go when it holds 5 MB. When two
  in a row are larger than that, it says that the second is gone too, whether or not anybody has read the first.
- It does not compact topics.
- From librdkafka 2.15 on it ends transactions with control records whose checksum is wrong, and aiokafka refuses
  to read on: hence confluent-kafka stays below 2.15.
- It shows a transaction's records before the commit and those of aborted ones: "exactly once" cannot be seen on it.
- It listens on a port of the system's choice, another at each start: librdkafka can only be told what to advertise
  (`rd_kafka_mock_broker_set_host_port`), not where to listen. `kafka_entrance` has an address that stays.
- It has no CreateTopics request: declare topics when making it, or by `create_topic`. A topic first used
  without that gets 4 partitions.

Why ctypes, when `Producer({"test.mock.num.brokers": 1})` starts the same cluster: that way there is no say in the
number of partitions, and all our topics have 3. The functions are those of librdkafka's `rdkafka_mock.h`.
"""

import ctypes
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from infrastructure.local.processes import EmbeddedServerError

DEFAULT_PARTITIONS = 3

LARGEST_MESSAGE_BYTES: Final = 2_500_000
"""Of any two such messages both fit into a partition."""

OVERRUN: Final = (
    "\nThis is the broker that `ras up` brings: it keeps 5 MB per partition and drops the oldest messages, ingested or "
    "not; of messages beyond 2.5 MB it loses the second in a row. More came than was ingested. Start `ras up` again, it begins with an empty broker, and send again what was "
    "lost: `ras replay` sends no faster than messages are ingested. For more, set RAS_KAFKA_BOOTSTRAP_SERVERS to a "
    "Kafka of your own."
)
"""What is added where the ingester finds that messages are gone."""

_PRODUCER = 0
_ERROR_SIZE = 512
_TOPIC_ALREADY_EXISTS = 36
_STOP_DEADLINE_MS = 5_000


class EmbeddedKafka:
    """One broker on a free loopback port; `topics` maps a topic's name to its number of partitions."""

    def __init__(self, topics: Mapping[str, int] | None = None) -> None:
        self._topics = dict(topics or {})
        self._library = _load_librdkafka()
        self._client: int | None = None
        self._cluster: int | None = None

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:port`. Raises EmbeddedServerError unless running."""
        address: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._running_cluster())
        return address.decode("ascii")

    def start(self) -> None:
        """Start the broker and make the declared topics. Raises EmbeddedServerError if librdkafka cannot."""
        if self._cluster is not None:
            return
        library, error = self._library, ctypes.create_string_buffer(_ERROR_SIZE)
        settings = library.rd_kafka_conf_new()
        # It writes to standard error by itself otherwise, each client that becomes unavailable included.
        library.rd_kafka_conf_set(settings, b"log_level", b"0", error, _ERROR_SIZE)
        self._client = library.rd_kafka_new(_PRODUCER, settings, error, _ERROR_SIZE)
        if self._client is None:
            raise EmbeddedServerError(f"the embedded Kafka did not start: {error.value.decode()}")
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, 1)
        if self._cluster is None:
            self.stop()
            raise EmbeddedServerError("the embedded Kafka did not start: it cannot listen on 127.0.0.1")
        # A consumer group's first member waits 3 s for others by default.
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        for topic, partitions in self._topics.items():
            self.create_topic(topic, partitions=partitions)

    def stop(self) -> None:
        """End the broker; clients see closed connections and all records are gone."""
        cluster, client = self._cluster, self._client
        self._cluster = self._client = None
        if cluster is not None:
            self._library.rd_kafka_mock_cluster_destroy(cluster)
        if client is not None:
            self._library.rd_kafka_flush(client, _STOP_DEADLINE_MS)
            self._library.rd_kafka_destroy(client)

    def create_topic(self, topic: str, *, partitions: int = DEFAULT_PARTITIONS) -> None:
        """Make a topic; nothing happens if it exists. Raises EmbeddedServerError if refused."""
        cluster = self._running_cluster()
        code = self._library.rd_kafka_mock_topic_create(cluster, topic.encode(), partitions, 1)
        if code not in {0, _TOPIC_ALREADY_EXISTS}:
            raise EmbeddedServerError(f"the embedded Kafka refused topic {topic!r}: error {code}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running_cluster(self) -> int:
        if self._cluster is None:
            raise EmbeddedServerError("the embedded Kafka is not running: call start() first")
        return self._cluster


def _load_librdkafka() -> ctypes.CDLL:
    """The very library file of the wheel, with the signatures that we call declared."""
    package = importlib.util.find_spec("confluent_kafka")
    if package is None or package.origin is None:
        raise EmbeddedServerError("the package confluent-kafka is not installed: run `make setup`")
    folder = Path(package.origin).parent
    # Where the tools that repair wheels put it: auditwheel beside the package, delocate inside it.
    files = [*folder.parent.glob("confluent_kafka.libs/librdkafka*"), *folder.glob(".dylibs/librdkafka*")]
    if not files:
        raise EmbeddedServerError(f"no librdkafka beside {folder}: install confluent-kafka from its wheel")
    library = ctypes.CDLL(str(files[0]))
    pointer, text, number, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_conf_set", number, [pointer, text, text, text, size]),
        ("rd_kafka_new", pointer, [number, pointer, text, size]),
        ("rd_kafka_flush", number, [pointer, number]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, [pointer, number]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
