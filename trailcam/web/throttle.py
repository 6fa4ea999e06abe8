"""
How often a password may be tried, by each client and by all of them together.

Pure: the time is an argument. An attempt counts as a failure from the moment it begins until
it turns out to be right, so that whoever tries many at once gains nothing.
"""

from __future__ import annotations

from collections import deque
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

__all__ = ["Throttle", "client_of"]

#: So many failures cost nothing; then pauses of 1, 2, 4, … seconds, up to the longest.
_FREE, _LONGEST_PAUSE = 5, 900.0
#: So many attempts of all clients in so many seconds.
_TOGETHER, _WINDOW = 30, 60.0
#: So many clients are remembered, and for so many seconds after their last pause.
_MOST_CLIENTS, _MEMORY = 1000, 86400.0


class _Failures(NamedTuple):
    """
    What is remembered of a client.

    @ivar tries: attempts since the last right one.
    @ivar until: when it may try again.
    """

    tries: int
    until: float


class Throttle:
    """Says when a client may try a password. All times are seconds of a clock that nobody sets."""

    def __init__(self) -> None:
        self._clients: dict[str, _Failures] = {}  # who tried last stands last
        self._recent: deque[float] = deque(maxlen=_TOGETHER)

    def __len__(self) -> int:
        """How many clients are remembered."""
        return len(self._clients)

    def begin(self, client: str, now: float) -> float:
        """
        A client wants to try.

        @param client: see L{client_of}.
        @return: 0.0 when it may: the attempt counts then. Else how long it must wait.
        """
        known = self._clients.get(client, _Failures(0, now))
        wait = max(known.until - now, self._wait_of_all(now))
        if wait > 0:
            return wait
        tries = 1 if now - known.until > _MEMORY else known.tries + 1
        self._clients.pop(client, None)
        self._clients[client] = _Failures(tries, now + _pause(tries))
        if len(self._clients) > _MOST_CLIENTS:
            del self._clients[next(iter(self._clients))]
        self._recent.append(now)
        return 0.0

    def right(self, client: str) -> None:
        """A client knew the password: its failures are forgotten."""
        self._clients.pop(client, None)

    def _wait_of_all(self, now: float) -> float:
        if len(self._recent) < _TOGETHER:
            return 0.0
        return self._recent[0] + _WINDOW - now


def _pause(failures: int) -> float:
    if failures < _FREE:
        return 0.0
    return min(_LONGEST_PAUSE, 2.0 ** min(failures - _FREE, 20))


def client_of(address: str) -> str:
    """
    Who counts as one client: an IPv4 address, or the /64 network of an IPv6 address, for each
    household has one of these with more addresses than can be counted.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return "elsewhere"  # a UNIX socket has no addresses
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return f"{IPv6Address(int(found) >> 64 << 64)}/64"
