"""The sockets that our HTTP servers answer on, bound by us: uvicorn would end the process by itself.

Bound before anything else of a server is put together, so that a taken port costs nothing and changes
nothing.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from infrastructure.errors import OperatorError
from infrastructure.settings import SettingsError

_UNACKNOWLEDGED_MS = 25_000


class PortTakenError(OperatorError):
    """Another program listens at the address; the text names it and the setting."""


def listening(host: str, port: int, *, port_setting: str) -> list[socket.socket]:
    """Return bound sockets for every address that `host` stands for; port 0 takes one that is free.

    Raises PortTakenError, and SettingsError for an address that is not this machine's, for a name that
    nobody knows and for a port that this user may not have. They name RAS_API_HOST or `port_setting`.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"RAS_API_HOST: nobody knows the address {host!r} ({_words(error)}).") from error
    bound: list[socket.socket] = []
    refusals: list[OSError] = []
    for family, kind, protocol, _, address in dict.fromkeys(found):
        try:
            # The first decides what 0 means, so that localhost is one port on both its addresses.
            at = port or (bound[0].getsockname()[1] if bound else 0)
            bound.append(_bound(socket.socket(family, kind, protocol), (address[0], at, *address[2:])))
        except OSError as error:
            refusals.append(error)
    # A machine without IPv6 may still have a name for it: one address that works is enough, unless one is taken.
    taken = any(error.errno == errno.EADDRINUSE for error in refusals)
    if bound and not taken:
        return bound
    close(bound)
    if taken:
        raise PortTakenError(
            f"Port {port} of {host} is taken by another program: stop that one, or set {port_setting} to another "
            "port (0 takes any that is free)."
        )
    raise _refusal(host, port, port_setting, refusals[0]) from refusals[0]


def base_url(host: str, port: int) -> str:
    """Return where a caller on this machine reaches a server that listens at `host`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def close(sockets: Sequence[socket.socket]) -> None:
    """Close them all."""
    for each in sockets:
        each.close()


def _bound(made: socket.socket, address: tuple[object, ...]) -> socket.socket:
    try:
        # As asyncio's own servers: connections of a server just stopped would keep the port for a minute.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by each connection: a client whose network has gone is found out by what it does not acknowledge.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
        if made.family == socket.AF_INET6:
            # `::` stands for every address of the machine, IPv4 included; any other is taken at its word.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        made.bind(address)
        # Until somebody listens, another process with the same option may bind to the port too.
        made.listen()
    except OSError:
        made.close()
        raise
    return made


def _refusal(host: str, port: int, port_setting: str, error: OSError) -> SettingsError:
    if error.errno in {errno.EACCES, errno.EPERM}:
        return SettingsError(
            f"{port_setting}: this user may not listen at port {port}: choose one above 1023."
        )
    return SettingsError(
        f"RAS_API_HOST: {host} is no address of this machine ({_words(error)}). 127.0.0.1 takes callers from "
        "here, 0.0.0.0 from everywhere over IPv4, :: also over IPv6."
    )


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
