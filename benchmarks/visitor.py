"""Clients that connect, lose their link, fetch a photo, or only stay: each measures itself."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from benchmarks.processes import Broken, Json, Stopwatch, serve
from trailcam.client import Camera
from trailcam.config import CameraConfig
from trailcam.errors import TrailcamError
from trailcam.library import Library
from trailcam.service import CameraService, LibraryService
from trailcam.target import Target

__all__ = ["Probe", "connect", "fetch", "visit"]

#: A session that is watched is asked something so often, in seconds.
ASKING = 0.05


def _camera(reactor: Any, port: int) -> Camera:
    return Camera(reactor, Target(host="127.0.0.1", port=port))


async def connect(reactor: Any, command: Json) -> Json:
    """Connect and log in, C{times} times; how long each took."""
    took = []
    for _ in range(command["times"]):
        camera = _camera(reactor, command["ports"][0])
        began = time.perf_counter()
        await camera.connect()
        await camera.login()
        took.append(time.perf_counter() - began)
        await camera.close()
        await deferLater(reactor, 0.05)  # CLOSE has a link to cross
    return {"took": took}


async def fetch(reactor: Any, command: Json) -> Json:
    """Fetch one photo; bytes and seconds, the request and its answer included."""
    camera = _camera(reactor, command["ports"][0])
    await camera.connect()
    await camera.login()
    (file, *_) = [file async for file in camera.media()]
    with tempfile.TemporaryDirectory() as folder:
        watch = Stopwatch()
        done = await camera.download(file, Path(folder) / "photo")
        answer = {**watch.read(), "size": done.size}
    await camera.close()
    await deferLater(reactor, 0.05)
    return answer


async def visit(reactor: Any, command: Json) -> Json:
    """Visit a camera as the service does, into a library of its own; how long it was awake."""
    with tempfile.TemporaryDirectory() as folder:
        target = Target(host="127.0.0.1", port=command["ports"][0], name="camera")
        library = LibraryService(Library(Path(folder) / "library", reactor))
        service = CameraService(
            reactor, CameraConfig("camera", target), library, state=Path(folder) / "state"
        )
        await service.visit()
        last = await library.library.visits(limit=1)
        await service.stopService()
        await library.stopService()
    (visit,) = last
    share = visit.transferring / visit.awake
    return {"awake": visit.awake, "share": share, "new": visit.new}


class Probe:
    """
    Asks one camera something again and again, through outages.

    @ivar answers: when answers came, by the monotonic clock.
    @ivar sessions: how many sessions it took so far.
    """

    def __init__(self, reactor: Any, port: int) -> None:
        self._reactor = reactor
        self._camera = _camera(reactor, port)
        self._asking: Deferred[None] | None = None
        self.answers: list[float] = []

    async def start(self) -> None:
        """Connect, log in, and begin to ask."""
        await self._camera.connect()
        await self._camera.login()
        self._asking = Deferred.fromCoroutine(self._ask())
        self._asking.addErrback(lambda _: None)

    async def _ask(self) -> None:
        while True:
            try:
                await self._camera.info()
            except TrailcamError as error:
                print(f"a probe was not answered: {error}", file=sys.stderr)
            else:
                self.answers.append(time.monotonic())
            await deferLater(self._reactor, ASKING)

    @property
    def sessions(self) -> int:
        return self._camera.sessions

    async def stop(self) -> None:
        """Ask no more, and say goodbye."""
        if self._asking is not None:
            self._asking.cancel()
        await self._camera.close()


class Probes:
    """Commands about many probes: C{start}, C{back} and C{stop}."""

    def __init__(self) -> None:
        self._probes: list[Probe] = []

    async def handle(self, reactor: Any, command: Json) -> Json:
        """Obey one command."""
        match command["do"]:
            case "start":
                self._probes = [Probe(reactor, port) for port in command["ports"]]
                await gatherResults(Deferred.fromCoroutine(each.start()) for each in self._probes)
            case "stop":
                await gatherResults(Deferred.fromCoroutine(each.stop()) for each in self._probes)
            case "back":
                took = [await self._back(reactor, each, command["since"]) for each in self._probes]
                sessions = sum(each.sessions for each in self._probes)
                return {"took": took, "sessions": sessions / len(self._probes)}
        return {}

    async def _back(self, reactor: Any, probe: Probe, since: float) -> float:
        """Seconds from C{since} to the next answer."""
        while time.monotonic() < since + 30:
            for at in probe.answers:
                if at >= since:
                    return at - since
            await deferLater(reactor, 0.02)
        raise Broken("a session did not come back within 30 s of the link")


class Idlers:
    """Sessions that only stay: C{start}, then C{measure} over some seconds."""

    def __init__(self) -> None:
        self._cameras: list[Camera] = []

    async def handle(self, reactor: Any, command: Json) -> Json:
        """Obey one command."""
        if command["do"] == "start":
            self._cameras = [_camera(reactor, port) for port in command["ports"]]
            for camera in self._cameras:
                await camera.connect()
                await camera.login()
            return {}
        watch = Stopwatch()
        await deferLater(reactor, command["seconds"])
        return {**watch.read(), "sessions": sum(each.sessions for each in self._cameras)}


_KINDS: dict[str, Callable[[], Callable[[Any, Json], Coroutine[Any, Any, Json]]]] = {
    "connect": lambda: connect,
    "fetch": lambda: fetch,
    "visit": lambda: visit,
    "probes": lambda: Probes().handle,
    "idlers": lambda: Idlers().handle,
}

if __name__ == "__main__":
    serve(_KINDS[json.loads(sys.argv[1])["kind"]]())
