"""
What the command line shows: JSON lines or text on standard output, the log
and a progress bar on standard error.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from twisted.logger import LogEvent

    from trailcam.client import Camera
    from trailcam.commands import DeviceInformation, MediaFile
    from trailcam.library import StoredFile
    from trailcam.library.sync import SyncReport

__all__ = [
    "Console",
    "ProgressBar",
    "SyncTeller",
    "human_bytes",
    "human_seconds",
    "start_logging",
    "where_is",
]


class Console:
    """
    Standard output, for people or for programs.

    @ivar as_json: whether programs read it.
    """

    def __init__(
        self, as_json: bool, bar: ProgressBar | None = None, out: TextIO | None = None
    ) -> None:
        """
        @param bar: lines go above it, where it shares the terminal with them.
        @param out: where they go; C{None}: standard output.
        """
        self.as_json = as_json
        self._out = out or sys.stdout
        self._bar = bar if sys.stdout.isatty() else None

    def event(self, name: str, text: str | None = None, /, **fields: Any) -> None:
        """
        Tell that something happened: a JSON object, or a line of text.

        @param text: for people; C{None} for nothing.
        """
        if self.as_json:
            self._line(json.dumps({"event": name, **fields}))
        elif text is not None:
            self._line(text)

    def value(self, value: Any, text: str) -> None:
        """Show a result: as it is in JSON, or as text."""
        self._line(json.dumps(value) if self.as_json else text)

    def _line(self, line: str) -> None:
        if self._bar is not None and self._bar.write is not None:
            self._bar.write(line)
            return
        # What a terminal's encoding cannot show must not end the work.
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        print(line.encode(encoding, "replace").decode(encoding), file=self._out, flush=True)


def human_bytes(count: int) -> str:
    """Like C{3.4 MB}."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"


def human_seconds(seconds: float) -> str:
    """Like C{41 s} or C{2 min 5 s}."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def start_logging(verbosity: int, writer: Callable[[], Any] = lambda: None) -> None:
    """
    Send the log to standard error, a line for each event and never a traceback
    unless asked for.

    @param verbosity: 0 warnings only, 1 the story, 2 everything.
    @param writer: gives what prints a line above a progress bar; C{None} while there is none.
    """
    from twisted.logger import LogLevel, formatEvent, globalLogBeginner

    levels = (LogLevel.warn, LogLevel.info, LogLevel.debug)
    lowest = levels[min(verbosity, 2)]

    def observe(event: LogEvent) -> None:
        level = event.get("log_level", LogLevel.info)
        ours = str(event.get("log_namespace", "")).startswith("trailcam")
        if level < (lowest if ours else LogLevel.warn):
            return
        text = formatEvent(event) or event.get("log_text", "")
        failure = event.get("log_failure")
        if failure is not None:
            text = f"{text}: {failure.type.__name__}: {failure.getErrorMessage()}"
            if verbosity > 1:
                text += "\n" + failure.getTraceback()
        clock = time.strftime("%H:%M:%S", time.localtime(event.get("log_time")))
        mark = f"{level.name}: " if level >= LogLevel.warn else ""
        line = f"{clock} {mark}{text if verbosity > 1 else ' '.join(text.split())}"
        (writer() or _stderr)(line)

    observers: list[Any] = [observe]  # any callable will do
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False, discardBuffer=True)


def _stderr(line: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads it: no reason to stop
        print(line, file=sys.stderr, flush=True)


class ProgressBar:
    """
    How far a sync is, on a terminal: files, rate and time left.

    Without a terminal it shows nothing and costs nothing.
    """

    def __init__(self, wanted: bool) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._total = 0
        self._bytes = 0
        self._began = time.monotonic()
        if wanted and sys.stderr.isatty():
            self._start()

    @property
    def write(self) -> Any:
        """Prints a line above the bar; C{None} where there is no bar."""
        if self._progress is None:
            return None
        console = self._progress.console
        return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)

    def more(self, files: int) -> None:
        """So many files more are to come."""
        self._total += files
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, total=self._total, visible=self._total > 0)

    def received(self, count: int) -> None:
        """So many bytes have come."""
        self._bytes += count
        if self._progress is not None and self._task is not None:
            rate = self._bytes / max(time.monotonic() - self._began, 0.1)
            note = f"{human_bytes(self._bytes)}, {human_bytes(int(rate))}/s"
            self._progress.update(self._task, note=note)

    def done(self) -> None:
        """One file is home, or given up."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=1)

    def stop(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _start(self) -> None:
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("fetching"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=RichConsole(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=None, note="", visible=False)
        self._progress.start()


class SyncTeller:
    """Tells how a sync goes: as JSON, as text, and with a progress bar."""

    def __init__(self, console: Console, bar: ProgressBar) -> None:
        self._console = console
        self._bar = bar
        self._begun = False
        self._home = 0
        self._bytes = 0

    def connected(self, camera: Camera) -> None:
        """The session stands."""
        camera.progress = self._bar.received
        self._console.event("connected", camera=where_is(camera), local_port=camera.local_port,
                            remembered=camera.remembered)  # fmt: skip

    def informed(self, information: DeviceInformation) -> None:
        """The camera has said who it is: the sync has begun."""
        self._begun = True

    def found(self, new: int, known: int) -> None:
        """A part of the list was read."""
        self._bar.more(new)

    def stored(self, file: StoredFile) -> None:
        """A file is home."""
        self._bar.done()
        self._home += 1
        self._bytes += file.size
        name = file.path.name
        self._console.event("file", f"{name}  {human_bytes(file.size)}", name=name,
                            path=str(file.path), bytes=file.size)  # fmt: skip

    def failed(self, file: MediaFile, why: str) -> None:
        """A file was given up."""
        self._bar.done()
        self._console.event("failed", f"{file.label}: {why}", name=file.label, reason=why)

    def unfinished(self) -> None:
        """It ended before its end, if it has begun; why is told elsewhere."""
        if not self._begun:
            return
        self._console.event("unfinished", f"not finished: {self._home} new "
                            f"({human_bytes(self._bytes)}) are home; the next sync brings the rest",
                            new=self._home, bytes=self._bytes)  # fmt: skip

    def done(self, report: SyncReport, **more: Any) -> int:
        """It is over. The exit status."""
        seconds = round(report.seconds, 1)
        text = (
            f"{report.new} new ({human_bytes(report.bytes)}), {report.skipped} here already, "
            f"{report.failed} failed, in {seconds} s"
        )
        if report.cleared:
            text += f"; {report.cleared} deleted from the card"
        self._console.event("done", text, new=report.new, skipped=report.skipped,
                            failed=report.failed, bytes=report.bytes, seconds=seconds,
                            **more)  # fmt: skip
        return 1 if report.failed else 0


def where_is(camera: Camera) -> str:
    """Its address, or how it was named where it has none."""
    address = camera.address
    return f"{address[0]}:{address[1]}" if address else str(camera.target)
