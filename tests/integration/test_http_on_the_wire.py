"""What clients and proxies meet at each address of `ras serve`: a real process, HTTP/1.1 over sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest

from infrastructure.http.query.app import openapi_document
from infrastructure.settings import Settings
from tests.support.given import registered, slot_assigned
from tests.support.http import OPERATORS
from tests.support.people import SECRET, SESSION_KEY, token_for
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.role_process import API_KEY, Installation, RoleProcess
from tests.support.school import school_on

DESCRIBED: Final = {
    path.replace("{", "").replace("}", ""): {method.upper() for method in item}
    for path, item in openapi_document()["paths"].items()
}
PEOPLE: Final = {
    "/": {"GET"},
    "/sign-in": {"GET", "POST"},
    "/sign-out": {"POST"},
    "/batches": {"GET"},
    "/batches/b1": {"GET"},
    "/batches/b1/essays.csv": {"GET"},
    "/operator": {"GET"},
    "/operator/letters/7": {"GET", "POST"},
    "/operator/letters/7/message": {"GET"},
    "/operator/parked": {"GET", "POST"},
    "/examiner": {"GET"},
    "/notifications": {"GET"},
    "/notifications/read": {"POST"},
    "/static/ras.css": {"GET"},
    "/docs": {"GET"},
    "/openapi.json": {"GET"},
    "/v1/stream-tickets": {"POST"},
    "/v1/notifications/stream": {"GET"},
}
ADDRESSES: Final = DESCRIBED | PEOPLE
ACCEPTED: Final = {"X-Internal-API-Key": API_KEY, "X-Service-ID": OPERATORS}
_CHANGING: Final = {"date", "x-correlation-id", "content-security-policy", "set-cookie", "content-length"}
"""Header fields that differ from one answer to the next; the page with another nonce has another length."""


@pytest.fixture(scope="module")
def ras(
    postgres_server: PostgresServerUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation with a batch."""
    with (
        fresh_database(postgres_server.url) as url,
        Installation(url, "127.0.0.1:1", tmp_path_factory.mktemp("wire")) as installed,
    ):
        with school_on(url) as school:
            essays = [f"essay-{number:02}" for number in range(30)]
            school.hear("b1", registered(*essays), *(slot_assigned(each) for each in essays))
        yield installed


@pytest.fixture(scope="module")
def served(ras: Installation) -> RoleProcess:
    """`ras serve` with a short deadline for requests."""
    return ras.start(
        "serve", jwt_secret=SECRET, session_keys=SESSION_KEY, http_deadline_s="0.5", longest_wait_s="0"
    ).wait_until_ready()


@pytest.fixture(scope="module")
def client(served: RoleProcess) -> Iterator[httpx.Client]:
    """A client with a key that is accepted, which follows no redirects."""
    with httpx.Client(base_url=served.url, headers=ACCEPTED, timeout=60) as talking:
        yield talking


def connected(served: RoleProcess) -> socket.socket:
    """Return a connection; reading from it does not wait for ever."""
    address = urlsplit(served.url)
    return socket.create_connection((address.hostname, address.port), timeout=60)


def coded(client: httpx.Client, path: str, accepted: str, **headers: str) -> httpx.Response:
    """Ask with this `Accept-Encoding`."""
    return client.get(path, headers={"Accept-Encoding": accepted} | headers)


def answered(connection: socket.socket) -> bytes:
    """Return an answer whose body has a length, read to its end."""
    found = b""
    while b"\r\n\r\n" not in found:
        piece = connection.recv(65_536)
        assert piece, found
        found += piece
    head, _, body = found.partition(b"\r\n\r\n")
    [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(length.split(b":")[1]):
        body += connection.recv(65_536)
    return head


@pytest.mark.parametrize("path", ADDRESSES)
def test_an_address_names_the_methods_that_it_takes(client: httpx.Client, path: str) -> None:
    methods = {*ADDRESSES[path], "OPTIONS"} | ({"HEAD"} if "GET" in ADDRESSES[path] else set())
    for method, status in (("OPTIONS", 204), ("DELETE", 405), ("PROPFIND", 405)):
        answer = client.request(method, path)
        assert answer.status_code == status
        # Another route may match as well: `retry` could be the position of a letter.
        assert methods <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize("path", [path for path, methods in ADDRESSES.items() if "GET" in methods])
def test_head_answers_as_get_does_without_a_body(client: httpx.Client, path: str) -> None:
    token = {"Authorization": f"Bearer {token_for('teacher-0007')}"}
    with client.stream("GET", path, headers=token) as answer:
        got, status = answer.headers, answer.status_code
    looked = client.head(path, headers=token)

    assert (looked.status_code, looked.content) == (status, b"")
    without = {name: value for name, value in got.items() if name not in {*_CHANGING, "transfer-encoding"}}
    assert {name: value for name, value in looked.headers.items() if name not in _CHANGING} == without


def test_a_ticket_that_a_program_has_looked_at_still_opens_the_stream(client: httpx.Client) -> None:
    token = {"Authorization": f"Bearer {token_for('teacher-0007')}"}
    ticket = client.post("/v1/stream-tickets", headers=token).json()["ticket"]
    address = f"/v1/notifications/stream?ticket={ticket}"

    assert client.head(address).status_code == 200
    with client.stream("GET", address) as answer:
        assert answer.status_code == 200
    assert client.head("/v1/notifications/stream?ticket=forged").status_code == 401


@pytest.mark.parametrize("path", [path for path in ADDRESSES if path not in {"/", "/static/ras.css"}])
def test_a_slash_at_the_end_redirects_nowhere(client: httpx.Client, path: str) -> None:
    answer = client.get(f"{path}/")

    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_a_folder_of_files_redirects_nowhere(client: httpx.Client) -> None:
    assert {client.get(path).status_code for path in ("/static", "/static/")} == {404}


def test_a_file_of_the_pages_is_not_sent_twice_whatever_a_proxy_does_to_its_tag(client: httpx.Client) -> None:
    etag = client.get("/static/ras.css").headers["ETag"]

    for sent in (etag, f"W/{etag}", f'{etag[:-1]}-gzip"', f'"other", {etag}'):
        assert client.get("/static/ras.css", headers={"If-None-Match": sent}).status_code == 304
    assert client.get("/static/ras.css", headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/internal/v1/batches/b1/status",
        "/internal/v1/batches/user/teacher-0007",
        "/openapi.json",
        "/metrics",
        "/static/ras.css",
        "/static/ras.js",
    ],
)
def test_a_large_answer_is_compressed_for_who_asks_for_it(client: httpx.Client, path: str) -> None:
    plain, small = coded(client, path, "identity"), coded(client, path, "gzip")

    assert (plain.headers.get("Content-Encoding"), small.headers["Content-Encoding"]) == (None, "gzip")
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert plain.headers["Vary"] == small.headers["Vary"]
    if path != "/metrics":  # which differ at each request
        assert small.content == plain.content
    if etag := plain.headers.get("ETag"):
        assert small.headers["ETag"] == f"W/{etag}"
        for known in (etag, f"W/{etag}"):
            same = coded(client, path, "gzip", **{"If-None-Match": known})
            assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", known)
            assert "Accept-Encoding" in same.headers["Vary"]
    looked = client.head(path, headers={"Accept-Encoding": "gzip"})
    for name in ("Content-Encoding", "ETag", "Vary", "Content-Type"):
        assert looked.headers.get(name) == small.headers.get(name)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("GZIP;q=0.5, br", "gzip"),
        ("deflate, x-gzip", "gzip"),
        ("*", "gzip"),
        ("gzip;q=0", None),
        ("*, gzip;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("br, zstd", None),
        ("gzip;q=x", None),
        ("", None),
    ],
)
def test_accept_encoding_is_read_as_the_standard_says(
    client: httpx.Client, accepted: str, coding: str | None
) -> None:
    assert coded(client, "/openapi.json", accepted).headers.get("Content-Encoding") == coding


def test_a_small_answer_is_sent_as_it_is(client: httpx.Client) -> None:
    answer = coded(client, "/healthz/live", "gzip")

    assert ("Content-Encoding" in answer.headers, answer.headers["Vary"]) == (False, "Accept-Encoding")


def test_nothing_with_a_secret_is_compressed(client: httpx.Client) -> None:
    """Pages have tokens for their forms; tickets and sessions are secrets."""
    token = token_for("teacher-0007", roles=["operator", "examiner"])
    bearer = {"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"}
    entered = client.post("/sign-in", data={"token": token}, headers={"Accept-Encoding": "gzip"})
    ticket = client.post("/v1/stream-tickets", headers=bearer)
    assert (entered.status_code, ticket.status_code) == (303, 201)
    with client.stream("GET", "/v1/notifications/stream", headers=bearer) as stream:
        assert stream.status_code == 200
    pages = [
        coded(client, path, "gzip") for path in PEOPLE if not path.startswith(("/static", "/openapi", "/v1"))
    ]

    assert sum(len(page.content) > 1_000 for page in pages if page.status_code == 200) > 5
    for answer in (entered, ticket, stream, *pages):
        assert "Content-Encoding" not in answer.headers
    client.cookies.clear()


def test_a_connection_between_two_requests_outlives_the_deadline_of_a_request(served: RoleProcess) -> None:
    """A proxy sends its next request on a connection that it has kept for a minute."""
    request = b"GET /healthz/live HTTP/1.1\r\nHost: ras.test\r\n\r\n"
    with closing(connected(served)) as kept, closing(connected(served)) as idle:
        kept.sendall(request)
        assert answered(kept).startswith(b"HTTP/1.1 200")
        assert answered(idle).startswith(b"HTTP/1.1 408")  # the deadline, which began at about the same time
        kept.sendall(request)
        assert answered(kept).startswith(b"HTTP/1.1 200")


def test_a_connection_is_kept_for_as_long_as_the_setting_says(ras: Installation) -> None:
    served = ras.start("serve", http_keep_alive_s="1").wait_until_ready()
    with closing(connected(served)) as connection:
        connection.sendall(b"GET /healthz/live HTTP/1.1\r\nHost: ras.test\r\n\r\n")
        answered(connection)
        assert connection.recv(1) == b""


def test_connections_are_kept_for_longer_than_proxies_keep_them() -> None:
    """nginx and AWS's load balancers keep them for 60 s, Go's proxies for 90 s, Caddy for 120 s."""
    assert Settings(_env_file=None).http_keep_alive_s > 120
