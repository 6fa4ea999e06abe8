"""
The receivers that are compared: a bare protocol, and trailcam's ways for photos,
live frames and videos. Each process is one of them, and measures itself.
"""

from __future__ import annotations

import cProfile
import io
import json
import pstats
import sys
import tempfile
from collections.abc import Callable, Coroutine
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import DatagramProtocol

from benchmarks import material
from benchmarks.processes import Broken, Json, Stopwatch, serve
from trailcam.client import BATCH, Camera
from trailcam.commands import MediaFile
from trailcam.sinks import Downloaded
from trailcam.target import Target

__all__ = ["bare", "download", "live", "play"]

Address = tuple[str, int]

#: How many lines of a profile are shown.
PROFILE_LINES = 25


class Bare(DatagramProtocol):
    """Counts, and acknowledges every 16th; nobody can do less and be served."""

    noisy = False
    _HEAD = Struct(">BBHBBH")

    def __init__(self, count: int) -> None:
        self.done: Deferred[None] = Deferred()
        self._left = count
        self._indexes: list[bytes] = []

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        self._indexes.append(datagram[6:8])
        self._left -= 1
        if len(self._indexes) == 16 or not self._left:
            size = len(self._indexes)
            head = self._HEAD.pack(0xF1, 0xD1, 4 + 2 * size, 0xD1, datagram[5], size)
            self.transport.write(head + b"".join(self._indexes), addr)  # type: ignore[union-attr]
            self._indexes = []
        if not self._left:
            self.done.callback(None)


class Meter:
    """Measures between C{start} and C{stop}; profiles, if somebody asks for it."""

    def __init__(self, command: Json) -> None:
        self._profile = cProfile.Profile() if command.get("profile") else None

    def start(self) -> None:
        """From here on."""
        self._watch = Stopwatch()
        if self._profile:
            self._profile.enable()

    def stop(self, datagrams: int) -> Json:
        """Until here, for so many datagrams."""
        if self._profile:
            self._profile.disable()
        answer = {**self._watch.read(), "datagrams": datagrams}
        if self._profile:
            text = io.StringIO()
            pstats.Stats(self._profile, stream=text).sort_stats("tottime").print_stats(
                PROFILE_LINES
            )
            answer["profile"] = text.getvalue()
        return answer


async def bare(reactor: Any, command: Json) -> Json:
    """Receive C{count} datagrams and do nothing with them."""
    protocol = Bare(command["count"])
    port = reactor.listenUDP(0, protocol, "127.0.0.1", 65536)
    port.socket.setsockopt(1, 8, 1 << 20)  # SO_RCVBUF, as the product has it
    meter = Meter(command)
    meter.start()
    port.write(b"BARE%d" % command["count"], ("127.0.0.1", command["ports"][0]))
    await protocol.done
    answer = meter.stop(command["count"])
    await port.stopListening()
    return answer


async def download(reactor: Any, command: Json) -> Json:
    """Download all photos of all cameras side by side, and look whether each is what was sent."""
    cameras = [await _visit(reactor, port) for port in command["ports"]]
    lists = [[file async for file in camera.media()] for camera in cameras]
    with tempfile.TemporaryDirectory() as folder:
        if command.get("warm"):  # what is loaded and started once is no cost of the work
            await cameras[0].download(lists[0][0], Path(folder) / "warm")
        before = memory("VmRSS")
        meter = Meter(command)
        meter.start()
        fetched = await gatherResults(
            Deferred.fromCoroutine(_fetch_all(camera, files, Path(folder) / str(n)))
            for n, (camera, files) in enumerate(zip(cameras, lists, strict=True))
        )
        answer = meter.stop(sum(map(len, fetched)) * material.PHOTO_DATAGRAMS)
        answer["memory"] = memory("VmHWM") - before
        sent = {file for files in lists for file in files}
        digests = {file: sha256(material.photo(file)).hexdigest() for file in sent}
        for files in fetched:
            for file, outcome in files.items():
                if not isinstance(outcome, Downloaded) or outcome.sha256 != digests[file]:
                    raise Broken(f"{file.label}: {outcome}")
    await gatherResults(camera.close() for camera in cameras)
    return answer


async def _visit(reactor: Any, port: int) -> Camera:
    camera = Camera(reactor, Target(host="127.0.0.1", port=port))
    await camera.connect()
    await camera.login()
    return camera


async def _fetch_all(camera: Camera, files: list[MediaFile], folder: Path) -> dict[MediaFile, Any]:
    folder.mkdir()
    fetched: dict[MediaFile, Any] = {}
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        fetched |= await camera.fetch([(file, folder / str(file.number)) for file in batch])
    return fetched


async def live(reactor: Any, command: Json) -> Json:
    """Look at C{frames} live frames; all of them must come, and be whole."""
    camera = await _visit(reactor, command["ports"][0])
    meter = Meter(command)
    meter.start()
    frames = await camera.live()
    for _ in range(command["frames"]):
        await anext(frames)
    answer = meter.stop(command["frames"] * material.FRAME_DATAGRAMS)
    if frames.dropped:
        raise Broken(f"{frames.dropped} live frames were dropped")
    await frames.close()
    await camera.close()
    return answer


async def play(reactor: Any, command: Json) -> Json:
    """
    Play a video of C{megabytes} into an MP4.

    A short one comes first, so that the libraries that make MP4s are loaded
    when "before" is measured.
    """
    camera = await _visit(reactor, command["ports"][0])
    with tempfile.TemporaryDirectory() as folder:
        await camera.download(MediaFile(1, 100, 2, 1000), Path(folder) / "short.mp4")
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins here
        before = memory("VmRSS")
        watch = Stopwatch()
        movie = Path(folder) / "long.mp4"
        done = await camera.download(MediaFile(1, 100, command["megabytes"], 1000), movie)
        answer = {**watch.read(), "size": done.size, "before": before, "peak": memory("VmHWM")}
    await camera.close()
    return answer


def memory(what: str) -> int:
    """Bytes: C{VmRSS}, the memory in use, or C{VmHWM}, the most that ever was."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(what)


_KINDS: dict[str, Callable[[Any, Json], Coroutine[Any, Any, Json]]] = {
    "bare": bare,
    "download": download,
    "live": live,
    "play": play,
}

if __name__ == "__main__":
    serve(_KINDS[json.loads(sys.argv[1])["kind"]])
