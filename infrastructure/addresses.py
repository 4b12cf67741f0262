"""Addresses in settings: what can be one is distinguished from what cannot before anybody connects.

Each function returns the address or raises ValueError with a sentence that says what to write. The sentences
never repeat an address, which may hold a password.
"""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

from infrastructure.input_files import require_file

_DATABASE_SCHEMES: Final = ("postgresql://", "postgres://")
_DATABASE_FORM: Final = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_FILE_OPTIONS: Final = {"sslrootcert", "sslcert", "sslkey", "sslcrl"}
"""Files that libpq opens without looking what they are."""
_HOST: Final = re.compile(r"[^\s/:@\[\]?#,\\]{1,255}")
_HIGHEST_PORT: Final = 65535


def database_url(text: str) -> str:
    """Return `text` if libpq can read it as a URL: several hosts and its options are taken too."""
    from psycopg import Error  # not for commands without a database
    from psycopg.conninfo import conninfo_to_dict

    if not text.startswith(_DATABASE_SCHEMES):
        raise ValueError(f"must begin with postgresql://, as in {_DATABASE_FORM}")
    try:
        parts = conninfo_to_dict(text)
    except Error as error:
        option = re.search(r'invalid URI query parameter: "(\w+)"', str(error))
        raise ValueError(
            f"PostgreSQL knows no option {option[1]!r}"
            if option
            else f"cannot be read: write it as {_DATABASE_FORM}, special characters of the password as %40 for @"
        ) from None
    if "@" in str(parts.get("host", "")):
        raise ValueError("holds a second @: one that belongs to the password is written as %40")
    if not text.isprintable() or " " in text:
        raise ValueError("holds a blank or an unprintable character: written as %20 they belong to a name")
    for port in filter(None, str(parts.get("port", "")).split(",")):
        _check_port(port)
    for name in _FILE_OPTIONS & parts.keys():
        try:
            require_file(str(parts[name]))
        except FileNotFoundError:
            pass  # libpq names it, and knows values that are not files, as sslrootcert=system
        except OSError as error:
            raise ValueError(f"{name} cannot be read: {error.strerror}") from None
    timeout = str(parts.get("connect_timeout", "0"))
    if not _is_number(timeout):
        raise ValueError("connect_timeout must be a number of seconds")
    return text


def kafka_servers(text: str) -> str:
    """Return `text` if it is one or more of `host:port`, comma-separated; 9092 is the port where none is named."""
    for server in text.split(","):
        host, port = _host_and_port(server.strip())
        if not _HOST.fullmatch(host) and not _is_ipv6(host):
            raise ValueError("must be host:port, or several separated by commas, as in kafka.example:9092")
        if port is not None:
            _check_port(port)
    return text


def web_address(text: str) -> str:
    """Return `text` if it is the address of an HTTP server, a path in front of it included."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    spoiled = not text.isascii() or not text.isprintable() or " " in text
    if not usable or spoiled or any((parts.query, parts.fragment, parts.username, parts.password)):
        raise ValueError("must be an address such as http://127.0.0.1:4004")
    return text


def _host_and_port(server: str) -> tuple[str, str | None]:
    """Return both, the port None where there is none; an IPv6 address has brackets, or no port."""
    if server.startswith("["):
        host, bracket, rest = server[1:].partition("]")
        # Without its end, or with anything but a port behind it, it is no host at all.
        fits = bracket and _is_ipv6(host) and rest[:1] in {"", ":"}
        return (host, rest[1:] if rest else None) if fits else ("", None)
    if _is_ipv6(server):
        return server, None
    host, colon, port = server.rpartition(":")
    return (host, port) if colon else (server, None)


def _check_port(text: str) -> None:
    if not _is_number(text) or not 1 <= int(text) <= _HIGHEST_PORT:
        raise ValueError(f"the port must be a number from 1 to {_HIGHEST_PORT}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _is_ipv6(text: str) -> bool:
    with suppress(ValueError):
        IPv6Address(text)
        return True
    return False
