"""What the commands for the live view do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from trailcam.calling import make_call
from trailcam.console import Console, human_bytes, start_logging
from trailcam.errors import LibraryError
from trailcam.livefile import STANDARD_OUTPUT, LiveFile, check_output, open_output
from trailcam.livehub import LiveHub
from trailcam.liveview import LiveCamera, SteadyView
from trailcam.runner import run
from trailcam.tasks import verbosity
from trailcam.worker import ThreadWorker, Worker

if TYPE_CHECKING:
    from rich.status import Status

__all__ = ["Recording", "live", "still"]

Arguments = argparse.Namespace


def live(arguments: Arguments) -> int:
    """Record the live view."""
    path: Path = arguments.output
    check_output(path, LiveFile.ENDINGS, arguments.force)
    call, console = make_call(arguments), _console(arguments)
    line = _StatusLine(not arguments.json and not arguments.quiet)
    start_logging(verbosity(arguments), lambda: line.write)

    async def main(reactor: Any) -> int:
        camera = call.camera(reactor)
        try:
            await camera.connect()
            await camera.login()
            file = LiveFile(path, arguments.force)
            recording = Recording(reactor, camera, file, ThreadWorker(reactor), arguments.seconds,
                                  line.show)  # fmt: skip
            try:
                await recording.run()
            finally:
                line.stop()
                text = f"{file.frames} frames, {human_bytes(file.bytes)} in {_name(path)}"
                console.event("done", text, frames=file.frames, bytes=file.bytes,
                              seconds=recording.seconds, path=str(path))  # fmt: skip
        finally:
            line.stop()
            await camera.close()
        return 0

    return run(main)


def still(arguments: Arguments) -> int:
    """Take one picture of the live view."""
    path: Path = arguments.output
    check_output(path, (".jpg", ".jpeg"), arguments.force)
    call, console = make_call(arguments), _console(arguments)
    start_logging(verbosity(arguments))

    async def main(reactor: Any) -> int:
        camera = call.camera(reactor)
        try:
            await camera.connect()
            await camera.login()
            hub, worker = LiveHub(reactor, camera), ThreadWorker(reactor)
            picture = await hub.still()
            await hub.close()
            await worker.call(_write, path, picture, arguments.force)
        finally:
            await camera.close()
        console.event("done", f"{human_bytes(len(picture))} in {_name(path)}", bytes=len(picture),
                      path=str(path))  # fmt: skip
        return 0

    return run(main)


def _console(arguments: Arguments) -> Console:
    """Standard output, unless that is the file."""
    to_output = arguments.output == STANDARD_OUTPUT
    return Console(arguments.json, out=sys.stderr if to_output else sys.stdout)


def _name(path: Path) -> str:
    return "standard output" if path == STANDARD_OUTPUT else str(path)


def _write(path: Path, data: bytes, force: bool) -> None:
    try:
        with open_output(path, force) as file:
            file.write(data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LibraryError(f"cannot write {path}: {error.strerror or error}") from None


class Recording:
    """
    A live view on its way into a file; it goes on when the camera was lost and is back.

    @ivar seconds: how long it has been, from the first frame on.
    """

    def __init__(
        self,
        reactor: Any,
        camera: LiveCamera,
        file: LiveFile,
        worker: Worker,
        limit: float | None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        """
        @param worker: writes the file.
        @param limit: seconds after which it ends; C{None}: when it is cancelled.
        @param tell: is told how far it is.
        """
        self._reactor = reactor
        self._view = SteadyView(camera)
        self._file = file
        self._worker = worker
        self._limit = limit
        self._tell = tell
        self._began: float | None = None
        self._stop: IDelayedCall | None = None

    async def run(self) -> None:
        """Write every frame's video until it ends."""
        try:
            async for frame in self._view:
                self._begin()
                await self._worker.call(self._file.write, frame)
                self._tell(f"{self._file.frames} frames, {human_bytes(self._file.bytes)}, "
                           f"{self.seconds:.0f} s")  # fmt: skip
        finally:
            if self._stop is not None and self._stop.active():
                self._stop.cancel()
            stopped: Deferred[Any] = self._view.close()
            await self._worker.call(self._file.close)
            await stopped

    def _begin(self) -> None:
        # A camera takes a moment to begin; that does not count.
        if self._began is None:
            self._began = self._reactor.seconds()
            if self._limit is not None:
                self._stop = self._reactor.callLater(self._limit, self._view.close)

    @property
    def seconds(self) -> float:
        began = self._reactor.seconds() if self._began is None else self._began
        return float(round(self._reactor.seconds() - began, 1))


class _StatusLine:
    """How far a recording is, on a terminal; elsewhere nothing."""

    def __init__(self, wanted: bool) -> None:
        self._status: Status | None = None
        if wanted and sys.stderr.isatty():
            from rich.console import Console as RichConsole

            self._status = RichConsole(stderr=True).status("waiting for the first picture")
            self._status.start()

    @property
    def write(self) -> Any:
        """Prints a line above it; C{None} where there is none."""
        if self._status is None:
            return None
        console = self._status.console
        return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, text: str) -> None:
        """Show how far it is."""
        if self._status is not None:
            self._status.update(text)

    def stop(self) -> None:
        """Take it away."""
        if self._status is not None:
            self._status.stop()
            self._status = None
