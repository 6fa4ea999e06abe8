"""
Links that lose, delay and throttle, between ports of this machine.

Each link has a front port for the client, and calls its camera from a port of
its own: what the camera takes for the client's. What is lost follows from a
seed. C{outage} switches all links off or on.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import selectors
import socket
import sys
import time
from itertools import count
from random import Random
from typing import Any

from benchmarks.processes import Json, say

__all__ = ["Direction", "main"]

Address = tuple[str, int]


class Direction:
    """One direction of a link: decides when a datagram is at the other end, if ever."""

    def __init__(
        self, delay: float = 0.0, loss: float = 0.0, rate: float = 0.0, queue: int = 128 << 10,
        seed: int = 0,
    ) -> None:  # fmt: skip
        """
        @param delay: seconds from one end to the other.
        @param loss: the share that gets lost, 0 to 1.
        @param rate: bits a second; 0 for any.
        @param queue: so many bytes wait at most; the rest is lost.
        """
        self._delay, self._loss, self._rate, self._queue = delay, loss, rate, queue
        self._random = Random(seed)
        self._free_at = 0.0

    def arrival(self, size: int, now: float) -> float | None:
        """When a datagram of C{size} bytes arrives that is sent now; C{None}: never."""
        if self._random.random() < self._loss:
            return None
        if self._rate:
            start = max(now, self._free_at)
            if (start - now) * self._rate / 8 + size > self._queue:
                return None
            self._free_at = now = start + size * 8 / self._rate
        return now + self._delay


class Link:
    """A client, a camera, and the two directions between them."""

    def __init__(self, camera: Address, options: Json, seed: int) -> None:
        self.front, self.back = _open(), _open()
        self._camera = camera
        self._client: Address | None = None
        self._ways = Direction(seed=2 * seed, **options), Direction(seed=2 * seed + 1, **options)

    def take(self, to_camera: bool, now: float) -> list[tuple[float, socket.socket, Any, bytes]]:
        """What has come at one end: when, through which socket and to whom it leaves."""
        source, exit_ = (self.front, self.back) if to_camera else (self.back, self.front)
        taken = []
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                datagram, sender = source.recvfrom(65536)
                if to_camera:
                    self._client = sender
                arrival = self._ways[to_camera].arrival(len(datagram), now)
                if arrival is not None:
                    to = self._camera if to_camera else self._client
                    taken.append((arrival, exit_, to, datagram))
        return taken


def _open() -> socket.socket:
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind(("127.0.0.1", 0))
    link.setblocking(False)
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        link.setsockopt(socket.SOL_SOCKET, option, 1 << 21)
    return link


class Relay:
    """All links, and what is on its way."""

    def __init__(self, options: Json) -> None:
        ports = options.pop("ports")
        self.links = [Link(("127.0.0.1", port), options, n) for n, port in enumerate(ports)]
        self._selector = selectors.DefaultSelector()
        for link in self.links:
            self._selector.register(link.front, selectors.EVENT_READ, (link, True))
            self._selector.register(link.back, selectors.EVENT_READ, (link, False))
        self._selector.register(0, selectors.EVENT_READ)
        self._on_its_way: list[tuple[float, int, socket.socket, Any, bytes]] = []
        self._order = count()
        self._out = False

    def run(self) -> None:
        """Until standard input ends."""
        while True:
            wait = self._on_its_way[0][0] - time.monotonic() if self._on_its_way else None
            for key, _ in self._selector.select(wait):
                if key.data is None and not self._command(os.read(0, 65536)):
                    return
                if key.data is not None:
                    self._take(*key.data)
            self._deliver()

    def _command(self, line: bytes) -> bool:
        if line:
            self._out = json.loads(line)["out"]
            if self._out:
                self._on_its_way.clear()
            say({"at": time.monotonic()})
        return bool(line)

    def _take(self, link: Link, to_camera: bool) -> None:
        for at, exit_, to, datagram in link.take(to_camera, time.monotonic()):
            if not self._out and to is not None:
                heapq.heappush(self._on_its_way, (at, next(self._order), exit_, to, datagram))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._on_its_way and self._on_its_way[0][0] <= now:
            _, _, exit_, to, datagram = heapq.heappop(self._on_its_way)
            with contextlib.suppress(OSError):
                exit_.sendto(datagram, to)


def main(options: Json) -> None:
    """Relay; C{{"out": true}} on standard input begins an outage, false ends it."""
    relay = Relay(options)
    say({"ports": [link.front.getsockname()[1] for link in relay.links]})
    relay.run()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
