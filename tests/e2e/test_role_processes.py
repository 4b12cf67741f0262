"""Roles as their operators meet them: signals, exit codes, and what is said when something is missing."""

from __future__ import annotations

import json

import pytest

from infrastructure.demo.stream import stream
from infrastructure.local.processes import free_port
from infrastructure.settings import DEMO_API_KEY
from tests.support.accounts import taken_in
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_ROLES = ("ingest", "publish", "project", "serve", "serve-assessments")


def test_sigterm_ends_each_role_in_order_before_its_work_is_done(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    messages = list(stream(20_260_314, 150, class_sizes=(8, 24)))
    roles = [ras.start_afresh(name, batch_max_messages="50") for name in _ROLES]
    for role in roles:
        role.wait_until_ready()
    ras_topics.send(messages)
    wait_until(lambda: taken_in(store) > 100, what="the roles are at work", state=lambda: taken_in(store))

    for role in roles:
        assert (role.name, role.terminate()) == (role.name, 0), role.output
        assert "Traceback" not in role.output
    assert taken_in(store) < len(messages), "everything was done before the first role was told to end"


@pytest.mark.parametrize("role", _ROLES)
def test_a_role_waits_for_the_database_and_can_be_ended_meanwhile(ras: Installation, role: str) -> None:
    nowhere = f"postgresql://postgres:secret@127.0.0.1:{free_port()}/ras"
    process = ras.start(role, database_url=nowhere)
    reason = process.wait_for_health("failed" if role.startswith("serve") else "degraded")
    assert "secret" not in process.output + reason

    assert (process.terminate(), "Traceback" in process.output) == (0, False)


@pytest.mark.parametrize("role", ["ingest", "publish"])
def test_a_role_waits_for_kafka_and_can_be_ended_meanwhile(ras: Installation, role: str) -> None:
    process = ras.start(role, kafka_bootstrap_servers=f"127.0.0.1:{free_port()}")
    process.wait_for_health("degraded", saying="Kafka does not answer")

    assert (process.terminate(), "Traceback" in process.output) == (0, False)


@pytest.mark.parametrize("role", _ROLES)
def test_a_role_without_tables_says_how_to_make_them(
    ras: Installation, store: PostgresProbe, role: str
) -> None:
    store.execute("DROP SCHEMA ras CASCADE")

    refused = ras.run(role)

    assert refused.exit_code == 1
    *logged, said = refused.output.splitlines()
    assert said == "ras: The database has no tables of RAS yet: run `ras init`."
    assert [json.loads(line)["event"] for line in logged] in ([], ["http.listening"])


@pytest.mark.parametrize(
    ("role", "variable", "value", "sentence"),
    [
        *((role, "database_url", "", "RAS_DATABASE_URL is not set.") for role in _ROLES),
        ("ingest", "kafka_bootstrap_servers", "", "RAS_KAFKA_BOOTSTRAP_SERVERS is not set."),
        ("publish", "kafka_bootstrap_servers", "", "RAS_KAFKA_BOOTSTRAP_SERVERS is not set."),
        ("serve", "internal_api_key", "", "RAS_INTERNAL_API_KEY is not set"),
        ("serve", "internal_api_key", DEMO_API_KEY, "RAS_INTERNAL_API_KEY is the public key of the demo"),
        ("serve", "allowed_services", " , ", "RAS_ALLOWED_SERVICES must name at least one service"),
        ("serve", "api_port", "65536", "RAS_API_PORT: "),
        ("serve-assessments", "internal_api_key", "", "RAS_INTERNAL_API_KEY is not set"),
        ("serve-assessments", "assessments_port", "-1", "RAS_ASSESSMENTS_PORT: "),
        (
            "serve-assessments",
            "assessments_allowed_services",
            "",
            "RAS_ASSESSMENTS_ALLOWED_SERVICES must name at least one service",
        ),
        ("serve", "assessments_url", "127.0.0.1:4004", "RAS_ASSESSMENTS_URL: must be an address such as "),
        ("serve", "assessments_deadline_s", "0", "RAS_ASSESSMENTS_DEADLINE_S: "),
        (
            "ingest",
            "database_url",
            "mysql://127.0.0.1/ras",
            "RAS_DATABASE_URL: must begin with postgresql://",
        ),
        ("ingest", "batch_max_messages", "0", "RAS_BATCH_MAX_MESSAGES: "),
        ("ingest", "batch_max_bytes", "many", "RAS_BATCH_MAX_BYTES: "),
        ("ingest", "future_tolerance_days", "-1", "RAS_FUTURE_TOLERANCE_DAYS: "),
        ("ingest", "accept_offset_gaps", "perhaps", "RAS_ACCEPT_OFFSET_GAPS: "),
        ("publish", "transactional_id", "", "RAS_TRANSACTIONAL_ID: "),
        ("publish", "publish_timeout_s", "0", "RAS_PUBLISH_TIMEOUT_S: "),
        ("project", "poll_interval_s", "nan", "RAS_POLL_INTERVAL_S: "),
        ("project", "retry_initial_s", "20", "RAS_RETRY_INITIAL_S must not be greater than RAS_RETRY_MAX_S"),
        ("project", "log_level", "loud", "RAS_LOG_LEVEL: must be debug, info, warning or error"),
        ("project", "health_port", "-1", "RAS_HEALTH_PORT: "),
    ],
)
def test_a_setting_that_makes_no_sense_stops_the_start_with_a_sentence(
    nowhere: Installation, role: str, variable: str, value: str, sentence: str
) -> None:
    refused = nowhere.run(role, **{variable: value})

    assert refused.exit_code == 2
    assert refused.output.startswith(f"ras: {sentence}")
    assert refused.output.count("\n") == 1
