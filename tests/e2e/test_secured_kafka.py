"""Clusters with TLS, certificates, passwords, tokens and ACLs: RAS works on them, and a fault is named as what it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import orjson
import pytest
from confluent_kafka.admin import AclOperation, ResourceType  # type: ignore[attr-defined]

from application.topics import INPUT_TOPICS, OUTPUT_TOPICS, PUBLISHER_POSITION
from infrastructure.demo.stream import stream
from infrastructure.postgres.schema import initialise
from tests.support import kafka_acls, requirements
from tests.support.accounts import all_is_published, taken_in, wait_until_settled
from tests.support.kafka_choice import NoBrokerError, own_broker_parts
from tests.support.kafka_jars import JarsUnavailableError
from tests.support.postgres_probe import PostgresProbe, probe
from tests.support.role_process import Installation
from tests.support.secured_kafka import LIMITED_USER, PASSWORD, USER, Grant, SecuredKafka, token_endpoint
from tests.support.topics import Sendable, Topics
from tests.support.waiting import wait_until

_MESSAGES: Final = list(stream(20_261_128, 4, class_sizes=(1, 3)))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    try:
        java, jars = own_broker_parts()
    except (NoBrokerError, JarsUnavailableError) as error:
        requirements.missing("kafka", install=str(error))
    with SecuredKafka(tmp_path_factory.mktemp("secured-kafka"), java=java, jars=jars) as server:
        server.add_scram_users()
        Topics(server.bootstrap_servers).renew()
        yield server


@pytest.fixture
def ras(
    database_url: str, store: PostgresProbe, secured: SecuredKafka, tmp_path: Path
) -> Iterator[Installation]:
    initialise(database_url)
    with Installation(database_url, secured.bootstrap_servers, tmp_path) as installation:
        yield installation


def _certificates(secured: SecuredKafka) -> dict[str, str]:
    return {"kafka_ssl_cafile": str(secured.certificates / "ca.pem")}


def _password(mechanism: str, *, user: str = USER, password: str = PASSWORD) -> dict[str, str]:
    return {
        "kafka_sasl_mechanism": mechanism,
        "kafka_sasl_username": user,
        "kafka_sasl_password": password,
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
def test_a_password_opens_the_cluster_and_a_wrong_one_is_named(
    ras: Installation, secured: SecuredKafka, protocol: str, mechanism: str
) -> None:
    settings = {
        "kafka_security_protocol": protocol,
        "kafka_bootstrap_servers": secured.address("SASLTLS" if protocol == "SASL_SSL" else "SASLPLAIN"),
        **_certificates(secured),
    }

    right = ras.run("init", **settings, **_password(mechanism))
    wrong = ras.run("init", **settings, **_password(mechanism, password="wrong"))

    assert right.exit_code == 0, right.output
    assert wrong.exit_code == 1, wrong.output
    assert "Kafka rejects the credentials" in wrong.output
    assert "RAS_KAFKA_BOOTSTRAP_SERVERS" not in wrong.output
    assert "Traceback" not in wrong.output


def test_tokens_open_the_cluster_and_a_refusal_of_the_endpoint_is_named(
    ras: Installation, secured: SecuredKafka
) -> None:
    with token_endpoint() as url:
        settings = {
            "kafka_security_protocol": "SASL_SSL",
            "kafka_bootstrap_servers": secured.address("SASLTLS"),
            "kafka_sasl_mechanism": "OAUTHBEARER",
            "kafka_sasl_oauthbearer_token_endpoint_url": url,
            "kafka_sasl_oauthbearer_client_id": USER,
            **_certificates(secured),
        }
        right = ras.run("init", **settings, kafka_sasl_oauthbearer_client_secret=PASSWORD)
        wrong = ras.run("init", **settings, kafka_sasl_oauthbearer_client_secret="wrong")

    assert right.exit_code == 0, right.output
    assert wrong.exit_code == 1, wrong.output
    assert "the token endpoint issued no token (HTTP 401)" in wrong.output


def test_a_client_certificate_opens_the_cluster_and_its_lack_and_a_wrong_authority_are_named(
    ras: Installation, secured: SecuredKafka
) -> None:
    settings = {"kafka_security_protocol": "SSL", "kafka_bootstrap_servers": secured.address("TLS")}
    own = {
        "kafka_ssl_certfile": str(secured.certificates / "client.pem"),
        "kafka_ssl_keyfile": str(secured.certificates / "client.key"),
    }
    other = {"kafka_ssl_cafile": str(secured.certificates / "other-ca.pem")}

    right = ras.run("init", **settings, **_certificates(secured), **own)
    anonymous = ras.run("init", **settings, **_certificates(secured))
    untrusted = ras.run("init", **settings, **other, **own)
    missing = ras.run("init", **settings, kafka_ssl_cafile=str(secured.certificates / "none.pem"))

    assert right.exit_code == 0, right.output
    assert anonymous.exit_code == 1
    assert "RAS_KAFKA_SSL_CERTFILE" in anonymous.output
    assert untrusted.exit_code == 1
    assert "is not accepted" in untrusted.output
    assert "RAS_KAFKA_SSL_CAFILE" in untrusted.output
    assert missing.exit_code == 2
    assert "RAS_KAFKA_SSL_CAFILE: No such file or directory" in missing.output


_RESOURCES: Final = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactionalId": ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS: Final = {"Read": AclOperation.READ, "Write": AclOperation.WRITE}


def _grants(acls: set[kafka_acls.Acl]) -> list[Grant]:
    return [(_RESOURCES[kind], name, _OPERATIONS[operation]) for kind, name, operation in sorted(acls)]


def _ingester(group: str) -> list[Grant]:
    return _grants(kafka_acls.ingester(group))


def _publisher(transactional_id: str) -> list[Grant]:
    return _grants(kafka_acls.publisher(transactional_id))


def _limited(secured: SecuredKafka) -> Mapping[str, str]:
    return {
        "kafka_security_protocol": "SASL_SSL",
        "kafka_bootstrap_servers": secured.address("SASLTLS"),
        **_certificates(secured),
        **_password("SCRAM-SHA-512", user=LIMITED_USER),
    }


def test_each_role_works_with_exactly_the_listed_acls(
    ras: Installation, secured: SecuredKafka, store: PostgresProbe
) -> None:
    topics = Topics(secured.bootstrap_servers)
    topics.renew()
    secured.grant_exactly([*_ingester(ras.consumer_group), *_publisher(ras.transactional_id)])
    roles = [ras.start(role, **_limited(secured)).wait_until_ready() for role in ("ingest", "publish")]

    topics.send(_MESSAGES)

    wait_until(
        lambda: taken_in(store) == len(_MESSAGES) and all_is_published(store, ras.transactional_id),
        what="everything goes in and out",
        state=lambda: (taken_in(store), store.positions()),
    )
    assert topics.read()
    for role in roles:
        assert role.terminate() == 0
        assert (
            "does not answer" not in role.output
        )  # closing a TLS connection in the middle of a fetch must not wait


@pytest.mark.parametrize(
    ("role", "without", "named"),
    [
        ("ingest", ResourceType.GROUP, "RAS_CONSUMER_GROUP"),
        ("publish", ResourceType.TRANSACTIONAL_ID, "RAS_TRANSACTIONAL_ID"),
    ],
)
def test_a_missing_acl_on_a_group_or_transactional_id_is_named(
    ras: Installation,
    secured: SecuredKafka,
    role: str,
    without: ResourceType,
    named: str,
) -> None:
    grants = [*_ingester(ras.consumer_group), *_publisher(ras.transactional_id)]
    secured.grant_exactly([grant for grant in grants if grant[0] != without])

    reason = ras.start(role, **_limited(secured)).wait_for_health(
        "degraded", saying="lacks the ACL", deadline_s=90
    )

    assert named in reason, reason


@pytest.mark.parametrize(
    ("role", "topic", "operation"),
    [
        ("ingest", INPUT_TOPICS[-1], "READ"),
        ("publish", OUTPUT_TOPICS[0], "WRITE"),
        ("publish", PUBLISHER_POSITION, "READ"),
    ],
)
def test_a_missing_acl_on_a_topic_is_named_with_operation_and_user(
    ras: Installation, secured: SecuredKafka, role: str, topic: str, operation: str
) -> None:
    topics = Topics(secured.bootstrap_servers)
    topics.renew()
    grants = [*_ingester(ras.consumer_group), *_publisher(ras.transactional_id)]
    secured.grant_exactly([grant for grant in grants if grant[1] != topic])
    topics.send(_MESSAGES)
    if role == "publish":
        ingester = ras.start("ingest").wait_until_ready()  # as a user who may do everything
        wait_until(lambda: _all_is_in(ras), what="all is in")
        ingester.terminate()

    ras.start(role, **_limited(secured)).wait_for_health(
        "degraded",
        saying=f"The Kafka user {LIMITED_USER} lacks the ACL {operation} on the topic {topic}.",
        deadline_s=90,
    )


def _all_is_in(ras: Installation) -> bool:
    with probe(ras.database_url) as store:
        return taken_in(store) == len(_MESSAGES)


def _topic(name: str, operation: AclOperation) -> Grant:
    return ResourceType.TOPIC, name, operation


_ALL_TOPICS: Final = (*INPUT_TOPICS, *OUTPUT_TOPICS, PUBLISHER_POSITION)
_LOOKING: Final = [_topic(topic, AclOperation.READ) for topic in _ALL_TOPICS]
_SETTING_UP: Final = [
    *(_topic(topic, AclOperation.DESCRIBE) for topic in _ALL_TOPICS),
    *(_topic(topic, AclOperation.DESCRIBE_CONFIGS) for topic in _ALL_TOPICS),
    (ResourceType.BROKER, "kafka-cluster", AclOperation.CREATE),
]
_STREAM_FILE: Final = "stream.jsonl"
_COMMANDS: Final[list[tuple[tuple[str, ...], list[Grant], str]]] = [
    (("init",), _SETTING_UP, PUBLISHER_POSITION),
    (("status",), _LOOKING, INPUT_TOPICS[0]),
    (("outbox",), _LOOKING, PUBLISHER_POSITION),
    (("check",), _LOOKING, OUTPUT_TOPICS[0]),
    (("replay", _STREAM_FILE), [_topic(_MESSAGES[0].topic, AclOperation.WRITE)], _MESSAGES[0].topic),
]


def test_a_command_works_with_exactly_the_listed_acls_and_names_the_topic_of_one_that_is_missing(
    ras: Installation, secured: SecuredKafka, store: PostgresProbe, tmp_path: Path
) -> None:
    topics = Topics(secured.bootstrap_servers)
    topics.renew()
    topics.send(_MESSAGES)
    for role in ("ingest", "publish", "project"):
        ras.start(role).wait_until_ready()
    wait_until_settled(store, topics, ras.transactional_id)
    ras.terminate_all()
    file = tmp_path / _STREAM_FILE
    file.write_bytes(_line_of(_MESSAGES[0]))
    wrong = []
    for (name, *arguments), grants, topic in _COMMANDS:
        command = (name, *(str(file) if argument == _STREAM_FILE else argument for argument in arguments))
        secured.grant_exactly(grants)
        right = ras.run(*command, **_limited(secured))
        if right.exit_code != 0 or "ACL" in right.output:
            wrong.append((command, right.output))
        secured.grant_exactly([grant for grant in grants if grant[1] != topic])
        lacking = ras.run(*command, **_limited(secured))
        if "ACL" not in lacking.output or topic not in lacking.output or "Traceback" in lacking.output:
            wrong.append((command, lacking.output))

    assert wrong == []


def _line_of(message: Sendable) -> bytes:
    value = orjson.loads(message.value or b"")
    return orjson.dumps({"topic": message.topic, "key": None, "headers": {}, "value": value})


@pytest.mark.parametrize("command", [("dead-letters", "list"), ("parked", "list")])
def test_a_command_that_asks_the_database_alone_needs_no_acl(
    ras: Installation, secured: SecuredKafka, command: tuple[str, ...]
) -> None:
    secured.grant_exactly([])

    assert ras.run(*command, **_limited(secured)).exit_code == 0
