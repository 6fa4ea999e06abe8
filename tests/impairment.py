"""
A bad link between two network namespaces, made in user space: many kernels lack C{tc netem}.

An Ethernet interface (TAP) in each namespace, and this process between them.
Run as C{impairment.py SEED NAMESPACE INTERFACE NAMESPACE INTERFACE}, it
writes JSON lines: C{ready}, C{down}, C{up}, and in the end what it counted.
It reads JSON lines, which L{BadLink} writes, and ends with its standard input.
"""

from __future__ import annotations

import fcntl
import heapq
import json
import os
import select
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from random import Random
from typing import Any

from tests.namespaces import Namespace, Running, inside

__all__ = ["BadLink", "Conditions", "Cut", "Link"]

#: A frame that is reordered comes so many seconds later than it would.
LATE = 0.02
#: So many bytes wait for a slow link; what comes then is dropped.
QUEUE = 64_000
BYTES = ("bytes there", "bytes back")
#: Longer than any frame.
FRAME_LIMIT = 2048


@dataclass(frozen=True)
class Conditions:
    """
    How bad the link is, the same in both directions.

    @ivar loss: the share of UDP datagrams that get lost, 0 to 1.
    @ivar delay: how long a frame takes, in seconds: any time from the first to the second.
    @ivar reorder: the share of UDP datagrams that come 20 ms late.
    @ivar duplicate: the share of UDP datagrams that come twice.
    @ivar rate: bits per second; 0 for no limit.
    """

    loss: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)
    reorder: float = 0.0
    duplicate: float = 0.0
    rate: float = 0.0


@dataclass(frozen=True)
class Cut:
    """
    An outage to come.

    @ivar seconds: how long it lasts.
    @ivar at: it begins with the first frame that contains this, …
    @ivar after: … or when so many more have come after that one.
    """

    seconds: float
    at: bytes = b""
    after: int = 0


class Link:
    """
    What becomes of frames. It has no clock of its own: C{now} is an argument.

    The fates of one direction's frames follow from the seed, in their order.

    @ivar counted: how many frames were carried, lost (by chance), dropped (by
        a full queue), cut (by an outage), late and duplicate; and how many
        bytes were given to it each way.
    @ivar is_down: whether the link is gone now.
    """

    def __init__(self, seed: int) -> None:
        self.conditions = Conditions()
        self.counted = dict.fromkeys(
            ("carried", "lost", "dropped", "cut", "late", "duplicate", *BYTES), 0
        )
        self.is_down = False
        self._chances = [Random(f"{seed}/{way}") for way in (0, 1)]
        self._free_at = [0.0, 0.0]
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._serial = count()
        self._cut: Cut | None = None
        self._left: int | None = None
        self._up_at = 0.0

    def expect(self, cut: Cut) -> None:
        """Prepare an outage."""
        self._cut, self._left = cut, None

    def take(self, way: int, frame: bytes, now: float) -> None:
        """
        Take a frame at one end.

        @param way: 0 or 1: the direction.
        """
        self.counted[BYTES[way]] += len(frame)
        self._watch(frame, now)
        if self.is_down:
            self.counted["cut"] += 1
            return
        chance = self._chances[way].random
        # Wi-Fi repeats frames itself; without addresses (ARP) there is nothing to test.
        udp = frame[12:14] == b"\x08\x00" and frame[23] == 17
        if udp and chance() < self.conditions.loss:
            self.counted["lost"] += 1
            return
        copies = 2 if udp and chance() < self.conditions.duplicate else 1
        self.counted["duplicate"] += copies - 1
        for _ in range(copies):
            sent = self._sent_at(way, len(frame), now)
            if sent is None:
                self.counted["dropped"] += 1
                continue
            due = sent + self._chances[way].uniform(*self.conditions.delay)
            if udp and chance() < self.conditions.reorder:
                self.counted["late"] += 1
                due += LATE
            heapq.heappush(self._under_way, (due, next(self._serial), way, frame))

    def deliver(self, now: float) -> Iterator[tuple[int, bytes]]:
        """The frames that arrive by now: way and frame."""
        if self.is_down and now >= self._up_at:
            self.is_down = False
        while self._under_way and self._under_way[0][0] <= now:
            _, _, way, frame = heapq.heappop(self._under_way)
            self.counted["carried"] += 1
            yield way, frame

    def next_timer(self) -> float | None:
        """When L{deliver} should be called; C{None} when nothing is to come."""
        due = [self._under_way[0][0]] if self._under_way else []
        if self.is_down:
            due.append(self._up_at)
        return min(due, default=None)

    def _sent_at(self, way: int, size: int, now: float) -> float | None:
        """When the last bit has left; C{None} when the queue is full."""
        rate = self.conditions.rate
        if not rate:
            return now
        begins = max(now, self._free_at[way])
        if (begins - now) * rate / 8 > QUEUE:
            return None
        self._free_at[way] = begins + size * 8 / rate
        return self._free_at[way]

    def _watch(self, frame: bytes, now: float) -> None:
        """Begin the outage when its time has come: what is under way is lost, too."""
        cut = self._cut
        if cut is None:
            return
        if self._left is not None:
            self._left -= 1
        elif cut.at in frame:
            self._left = cut.after
        if self._left == 0:
            self.is_down, self._up_at, self._cut = True, now + cut.seconds, None
            self.counted["cut"] += len(self._under_way)
            self._under_way.clear()


class BadLink:
    """The link, seen from a test: a process to give orders to."""

    def __init__(self, seed: int, *ends: tuple[Namespace, str]) -> None:
        """@param ends: two namespaces, and what the interface is called in each."""
        names = [text for namespace, interface in ends for text in (namespace.name, interface)]
        self._process = Running(sys.executable, "-m", "tests.impairment", str(seed), *names)
        self._process.wait_for("ready", 10)

    def set(self, conditions: Conditions) -> None:
        """Make it as bad as this from now on."""
        self._process.tell(json.dumps(asdict(conditions)))

    def expect(self, cut: Cut) -> None:
        """Prepare an outage."""
        self._process.tell(json.dumps({"cut": cut.seconds, "at": cut.at.hex(), "after": cut.after}))

    def outages(self) -> list[str]:
        """What is known of outages: C{down} and C{up}, in turn."""
        return [json.loads(line)["event"] for line in self._process.output[1:]]

    def end(self) -> dict[str, int]:
        """
        End it; its interfaces vanish.

        @return: what it has counted. See L{Link.counted}.
        """
        self._process.close_input()
        self._process.finish(10)
        counted: dict[str, int] = json.loads(self._process.output[-1])["counted"]
        return counted

    def stop(self) -> None:
        """End it, whatever state it is in."""
        self._process.stop()

    def __str__(self) -> str:
        return str(self._process)


# -- the process -----------------------------------------------------------


def main(arguments: list[str]) -> None:
    """Carry frames until standard input ends."""
    link = Link(int(arguments[0]))
    ends = [_tap(*arguments[1:3]), _tap(*arguments[3:5])]
    _say("ready")
    buffer = b""
    while True:
        due = link.next_timer()
        wait = None if due is None else max(0.0, due - time.monotonic())
        readable, _, _ = select.select([*ends, 0], [], [], wait)
        for way, end in enumerate(ends):
            if end in readable:
                for frame in _frames(end):
                    _take(link, way, frame)
        if 0 in readable:
            data = os.read(0, 4096)
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                _obey(link, line)
        was_down = link.is_down
        for way, frame in link.deliver(time.monotonic()):
            _write(ends[1 - way], frame)
        if was_down and not link.is_down:
            _say("up")
    _say("end", counted=link.counted)


def _take(link: Link, way: int, frame: bytes) -> None:
    was_down = link.is_down
    link.take(way, frame, time.monotonic())
    if link.is_down and not was_down:
        _say("down")


def _obey(link: Link, line: bytes) -> None:
    order = json.loads(line)
    if "cut" in order:
        link.expect(Cut(order["cut"], bytes.fromhex(order["at"]), order["after"]))
    else:
        link.conditions = Conditions(**order)


def _tap(namespace: str, interface: str) -> int:
    """A new Ethernet interface, as a file of frames."""
    set_interface, tap, no_information = 0x400454CA, 0x0002, 0x1000
    with inside(namespace):
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        request = struct.pack("16sH22x", interface.encode(), tap | no_information)
        fcntl.ioctl(descriptor, set_interface, request)
    return descriptor


def _frames(end: int) -> Iterator[bytes]:
    """What waits at one end."""
    while True:
        try:
            yield os.read(end, FRAME_LIMIT)
        except OSError:  # nothing more, or the interface is switched off
            return


def _write(end: int, frame: bytes) -> None:
    with suppress(OSError):  # the interface is switched off: lost
        os.write(end, frame)


def _say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
