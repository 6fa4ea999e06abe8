"""Which camera, and how patiently: what a person can say about connecting, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from trailcam.errors import ConfigError

__all__ = ["ACCESS_POINT", "KNOWN_PORTS", "SEARCH_PORT", "Policy", "Target"]

#: Where a camera listens for LAN_SEARCH.
SEARCH_PORT = 32108
#: Where cameras of this family were found, likeliest first (PROTOCOL, "Opening a session").
KNOWN_PORTS = (40611, 32108, 3333, 32100, 10000)
#: Where a camera is on its own access point.
ACCESS_POINT = "192.168.43.1"

_ADDRESS = re.compile(r"(?P<host>[^:]+)(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True)
class Target:
    """
    Which camera to call.

    @ivar host: its IPv4 address; C{None} to search for it.
    @ivar port: its port; C{None} to try the known ones.
    @ivar name: what people call it; names the remembered port.
    @ivar interface: our own address on the camera's network; empty for any.
    @ivar broadcast: where to send the search; C{None} for every network we are on.
    @ivar search_port: the port that the search goes to.
    @ivar local_port: a source port fixed by hand; C{None} for the remembered one.
    """

    host: str | None = None
    port: int | None = None
    name: str | None = None
    interface: str = ""
    broadcast: str | None = None
    search_port: int = SEARCH_PORT
    local_port: int | None = None

    def __post_init__(self) -> None:
        for address in (self.host, self.interface or None, self.broadcast):
            try:
                IPv4Address(address or 0)
            except AddressValueError:
                raise ConfigError(
                    f"{address!r} is not an IPv4 address like 192.168.43.1"
                ) from None

    @property
    def key(self) -> str:
        """What the source port is remembered under: the name, else the address."""
        if self.name:
            return self.name
        if self.host:
            return f"{self.host}:{self.port}" if self.port else self.host
        return "any"

    def keys(self, found: tuple[str, int] | None) -> tuple[str, ...]:
        """
        All that the source port is remembered under, once the camera is C{found}.

        A camera is the same one whether it was searched for, called by its
        address or by a name it was given since, and wants to be called from
        the same port.
        """
        if found is None:
            return (self.key,)
        host, port = found
        return tuple(dict.fromkeys((self.key, "any", host, f"{host}:{port}")))

    @property
    def recalled(self) -> tuple[str, ...]:
        """Under what to look for the source port, likeliest first."""
        if self.host is None:
            return tuple(dict.fromkeys((self.key, "any")))
        address = f"{self.host}:{self.port}" if self.port else self.host
        return tuple(dict.fromkeys((self.key, address, self.host)))

    def __str__(self) -> str:
        if self.host is None:
            return self.name or "any camera"
        where = f"{self.host}:{self.port}" if self.port else self.host
        return f"{self.name} ({where})" if self.name else where


def parse_address(text: str) -> tuple[str, int | None]:
    """
    Read C{HOST[:PORT]}; HOST is an IPv4 address.

    @raise ConfigError: when it is not one.
    """
    match = _ADDRESS.fullmatch(text.strip())
    port = int(match["port"]) if match and match["port"] else None
    try:
        if match is None or (port is not None and not 0 < port < 65536):
            raise AddressValueError
        host = IPv4Address("127.0.0.1" if match["host"] == "localhost" else match["host"])
        if host.is_multicast or host.is_unspecified or host == IPv4Address("255.255.255.255"):
            raise AddressValueError
        return str(host), port
    except AddressValueError:
        raise ConfigError(
            f"{text!r} is not a camera's address: write HOST or HOST:PORT, like 192.168.43.1:40611"
        ) from None


@dataclass(frozen=True)
class Policy:
    """
    How patiently, all in seconds; DESIGN, "The seed", gives the defaults.

    @ivar discovery: how long one attempt waits for an answer.
    @ivar pauses: the pauses between attempts; one attempt more than there are pauses.
    @ivar total: all attempts together, from the first on and again after every login.
    @ivar silence: so long without any datagram ends a session.
    @ivar request: so long without progress ends a request.
    @ivar heartbeat: between heartbeats.
    @ivar port_patience: how long a remembered port that another program holds is waited for.
    """

    discovery: float = 5.0
    pauses: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
    total: float = 90.0
    silence: float = 5.0
    request: float = 10.0
    heartbeat: float = 3.0
    port_patience: float = 10.0
