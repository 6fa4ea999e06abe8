"""How well a slow, bad or broken link is coped with, against that link's own figures."""

from __future__ import annotations

import contextlib
import socket
import time
from statistics import median, quantiles

from benchmarks.lines import LINES, Result
from benchmarks.processes import Broken, Process

__all__ = ["awake_time", "connect_rtts", "goodput_loss", "reconnect_p95"]

#: A link of 20 ms: so many seconds each way.
DELAY = 0.01
#: A Wi-Fi link to the edge of the garden, in bits a second.
RATE = 16e6
#: What a photo of such a camera has, in bytes.
PHOTO = 250_000


class _Pings:
    """Measures a link's round trip: C{port} is where the far end of the relay shall send."""

    def __init__(self) -> None:
        self._far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._far.bind(("127.0.0.1", 0))
        self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port: int = self._far.getsockname()[1]
        for end in (self._far, self._near):
            end.settimeout(5)

    def round_trip(self, front: int, times: int = 10) -> float:
        """The median of some round trips through the relay's front port, in seconds."""
        took = []
        for _ in range(times):
            began = time.perf_counter()
            self._near.sendto(b"ping", ("127.0.0.1", front))
            datagram, back = self._far.recvfrom(100)
            self._far.sendto(datagram, back)
            self._near.recv(100)
            took.append(time.perf_counter() - began)
        return median(took)

    def close(self) -> None:
        """Close both ends."""
        self._far.close()
        self._near.close()


def connect_rtts(quick: bool) -> Result:
    """Each round: the link's round trip, then some connections from start to login."""
    with contextlib.ExitStack() as stack:
        pings = stack.enter_context(contextlib.closing(_Pings()))
        cameras = stack.enter_context(Process("cameras", cameras=1))
        visitor = stack.enter_context(Process("visitor", kind="connect"))
        ports = [*cameras.ready["ports"], pings.port]
        relay = stack.enter_context(Process("relay", ports=ports, delay=DELAY))
        camera, echo = relay.ready["ports"]
        assert visitor.ready is not None
        found = []
        for _ in range(3 if quick else 7):
            trip = pings.round_trip(echo)
            took = visitor.ask("connect", ports=[camera], times=3 if quick else 5)["took"]
            found.append((median(took) / trip, median(took), trip))
    value, took, trip = sorted(found)[len(found) // 2]
    return Result(LINES["connect-rtts"], value, f"{took * 1e3:.0f} ms at {trip * 1e3:.1f} ms")


def reconnect_p95(quick: bool) -> Result:
    """
    Sessions side by side that ask something all the time; the link goes, and comes back.

    The value is the 95th percentile of the time until each is answered again,
    over 1 s and four round trips.
    """
    count, outage, rounds = (24, 1.0, 3) if quick else (40, 5.0, 5)
    with contextlib.ExitStack() as stack:
        pings = stack.enter_context(contextlib.closing(_Pings()))
        cameras = stack.enter_context(Process("cameras", cameras=count))
        visitor = stack.enter_context(Process("visitor", kind="probes"))
        ports = [pings.port, *cameras.ready["ports"]]
        relay = stack.enter_context(Process("relay", ports=ports, delay=DELAY))
        echo, *fronts = relay.ready["ports"]
        visitor.ask("start", ports=fronts)
        ratios, worst, sessions = [], 0.0, 0.0
        for turn in range(rounds):
            trip = pings.round_trip(echo)
            time.sleep(0.3 + 0.1 * turn)
            relay.ask("outage", out=True)
            time.sleep(outage)
            back = visitor.ask("back", since=relay.ask("outage", out=False)["at"])
            p95 = quantiles(back["took"], n=20)[-1]
            worst, sessions = max(worst, *back["took"]), back["sessions"]
            ratios.append((p95 / (1 + 4 * trip), p95))
        visitor.ask("stop")
    value, p95 = sorted(ratios)[rounds // 2]
    note = f"{p95:.2f} s after {outage:.0f} s, worst {worst:.2f} s, {sessions:.1f} sessions each"
    return Result(LINES["reconnect-p95"], value, note)


def goodput_loss(quick: bool) -> Result:
    """Each round: the same photo over the same link, without loss and with."""
    size = (3 if quick else 16) << 19
    link = {"delay": DELAY, "rate": RATE}
    with contextlib.ExitStack() as stack:
        cameras = stack.enter_context(Process("cameras", cameras=2, size=size))
        visitor = stack.enter_context(Process("visitor", kind="fetch"))
        good, bad = cameras.ready["ports"]
        clear = stack.enter_context(Process("relay", ports=[good], **link))
        lossy = stack.enter_context(Process("relay", ports=[bad], loss=0.1, **link))
        assert visitor.ready is not None
        found = []
        for _ in range(3 if quick else 5):
            rates = []
            for relay in (lossy, clear):
                fetched = visitor.ask("fetch", ports=relay.ready["ports"])
                rates.append(fetched["size"] / fetched["seconds"])
            found.append((rates[0] / rates[1], *rates))
    value, with_loss, without = sorted(found)[len(found) // 2]
    note = f"{with_loss / 1e6:.2f} against {without / 1e6:.2f} MB/s"
    return Result(LINES["goodput-loss"], value, note)


def awake_time(quick: bool) -> Result:
    """Each round: a whole visit that brings all photos into a library, over such a link."""
    photos = 20 if quick else 100
    least = photos * PHOTO * 8 / RATE
    found = []
    for _ in range(1 if quick else 3):
        with contextlib.ExitStack() as stack:
            card = {"cameras": 1, "photos": photos, "size": PHOTO}
            cameras = stack.enter_context(Process("cameras", **card))
            visitor = stack.enter_context(Process("visitor", kind="visit"))
            ports = cameras.ready["ports"]
            relay = stack.enter_context(Process("relay", ports=ports, delay=DELAY, rate=RATE))
            assert visitor.ready is not None
            found.append(visitor.ask("visit", ports=relay.ready["ports"]))
            if found[-1]["new"] != photos:
                raise Broken(f"only {found[-1]['new']} of {photos} photos came home")
    awake, share = median(each["awake"] for each in found), median(e["share"] for e in found)
    value = (awake - 3.0 * photos / 100) / least
    note = f"{awake:.1f} s for {photos} photos, {share:.0%} transferring, {least:.1f} s at least"
    return Result(LINES["awake-time"], value, note)
