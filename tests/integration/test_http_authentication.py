"""Who may ask: the key and the list of services, whatever bytes a client puts in its headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from infrastructure.settings import Settings
from tests.support.http import API_KEY, GATEWAY, Api, api
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain
from tests.support.rest_contract import check_error

PATHS = [
    ("GET", "/internal/v1/batches/b1/status"),
    ("GET", "/internal/v1/batches/user/teacher-0007"),
    ("GET", "/internal/v1/essays/e1/aggregated-analysis"),
    ("GET", "/internal/v1/teachers/teacher-0007/notifications"),
    ("POST", "/internal/v1/teachers/teacher-0007/notifications/n1/read"),
    ("GET", "/internal/v1/ops/dead-letters"),
    ("GET", "/internal/v1/ops/dead-letters/1"),
    ("GET", "/internal/v1/no-such-thing"),
    ("DELETE", "/internal/v1/batches/b1/status"),
]
MINE = "/internal/v1/batches/user/teacher-0007"


@pytest.fixture(scope="module")
def client(postgres_server: PostgresServerUnderTest) -> Iterator[Api]:
    """The API on an empty database."""
    with fresh_database(postgres_server.url) as url:
        Chain(url)
        with api(url) as answering:
            yield answering


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, "Missing authentication"),
        ({"X-Internal-API-Key": API_KEY}, "Missing authentication"),
        ({"X-Service-ID": GATEWAY}, "Missing authentication"),
        ({"X-Internal-API-Key": "", "X-Service-ID": GATEWAY}, "Missing authentication"),
        ({"X-Internal-API-Key": "wrong", "X-Service-ID": GATEWAY}, "Invalid credentials"),
        ({"X-Internal-API-Key": "wrong", "X-Service-ID": "essay-service"}, "Invalid credentials"),
    ],
    ids=["nothing", "no service", "no key", "empty key", "wrong key", "unknown service, wrong key"],
)
def test_nothing_internal_answers_a_stranger(
    client: Api, method: str, path: str, headers: Mapping[str, str], error: str
) -> None:
    response = client.send(method, path, headers)

    assert (response.status_code, response.json()["error"]) == (401, error)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Correlation-ID"] == response.json()["correlation_id"]
    check_error(response.json())


@pytest.mark.parametrize(
    "key",
    [
        "schlüssel".encode(),
        "ключ".encode(),
        b"\xff\xfe\x00"[:2],
        API_KEY.encode() + b" \t x",
        API_KEY.upper().encode(),
        API_KEY.encode()[:-1],
        b"k" * 10_000,
    ],
)
def test_any_bytes_in_a_key_or_a_service_are_merely_wrong(client: Api, key: bytes) -> None:
    for headers in (
        [(b"X-Internal-API-Key", key), (b"X-Service-ID", GATEWAY.encode())],
        [(b"X-Internal-API-Key", API_KEY.encode()), (b"X-Service-ID", key)],
    ):
        response = client.send("GET", MINE, headers)
        status = 401 if headers[0][1] == key else 403
        assert (response.status_code, response.json()["error"]) == (status, "Invalid credentials")


@pytest.mark.parametrize("service", ["api-gateway-service", "admin-dashboard-service", "bff-teacher-service"])
def test_upstreams_three_clients_are_let_in(client: Api, service: str) -> None:
    assert client.get(MINE, service=service).status_code == 200
    assert service in Settings(_env_file=None).allowed_services


def test_names_of_headers_have_no_case_but_services_do(client: Api) -> None:
    headers = {"x-internal-api-key": API_KEY, "x-service-id": GATEWAY}
    assert client.send("GET", MINE, headers).status_code == 200
    assert client.send("GET", MINE, headers | {"x-service-id": GATEWAY.upper()}).status_code == 403


@pytest.mark.parametrize(
    "path", ["/healthz", "/healthz/live", "/healthz/ready", "/metrics", "/openapi.json", "/docs"]
)
def test_health_metrics_and_documentation_are_open(client: Api, path: str) -> None:
    assert client.send("GET", path).status_code == 200


@pytest.mark.parametrize(
    "path", ["//internal/v1/batches/user/x", "/INTERNAL/v1/batches/user/x", "/healthz/../internal/v1"]
)
def test_no_spelling_of_an_address_goes_around_the_key(client: Api, path: str) -> None:
    assert client.send("GET", path).status_code in {401, 404}


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_service_that_is_not_named_learns_which_setting_names_services(
    client: Api, method: str, path: str
) -> None:
    response = client.send(method, path, {"X-Internal-API-Key": API_KEY, "X-Service-ID": "essay-service"})

    assert (response.status_code, response.json()["error"]) == (403, "Invalid credentials")
    assert "RAS_ALLOWED_SERVICES" in response.json()["detail"]
    assert "'essay-service'" in response.json()["detail"]
    check_error(response.json())
