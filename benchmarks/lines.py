"""The lines of the table: what is measured, against what, and how good it must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["LINES", "Line", "Result"]


@dataclass(frozen=True)
class Line:
    """
    One line of the table.

    @ivar what: is measured.
    @ivar against: what it is compared with, measured in the same run.
    @ivar reach: the value that must be reached.
    @ivar better: whether lower or higher values are better.
    @ivar unit: what the value counts; empty for a plain ratio.
    """

    name: str
    what: str
    against: str
    reach: float
    better: Literal["lower", "higher"]
    unit: str = "times"

    def reached_by(self, value: float) -> bool:
        """Whether C{value} is good enough; one that is no number is not."""
        return value <= self.reach if self.better == "lower" else value >= self.reach


@dataclass(frozen=True)
class Result:
    """
    What came of a line.

    @ivar note: the numbers behind the ratio, for people.
    @ivar sound: whether all else held that the line demands beside its value.
    """

    line: Line
    value: float
    note: str = ""
    sound: bool = True

    @property
    def ok(self) -> bool:
        """Whether the line is reached."""
        return self.sound and self.line.reached_by(self.value)


_TABLE = (
    Line("download-cpu", "download to a verified file, CPU per datagram",
         "a bare Twisted protocol", 2, "lower"),
    Line("download-rate", "the same, datagrams per second", "the same", 0.5, "higher"),
    Line("download-vs-aiopppp", "the same", "aiopppp's receive path", 6, "higher"),
    Line("live-cpu", "live frames, decrypted and checked, CPU per datagram",
         "a bare Twisted protocol", 2.5, "lower"),
    Line("connect-rtts", "connect and log in on a 20 ms link", "the link's round trip", 4, "lower",
         "round trips"),
    Line("reconnect-p95", "answered again after an outage, 95th percentile",
         "1 s and 4 round trips", 1, "lower"),
    Line("goodput-loss", "goodput at 10 % loss, 20 ms, 16 Mbit/s", "goodput without loss", 0.6,
         "higher"),
    Line("awake-time", "a visit: seconds the camera is awake, less 3 s for 100 photos, 16 Mbit/s",
         "the photos' bytes at the link's rate", 1.3, "lower"),
    Line("video-memory", "memory while a video of 300 MB is played", "memory before", 32, "lower",
         "MiB more"),
    Line("idle-sessions", "200 idle sessions with heartbeats, CPU", "one core", 0.1, "lower",
         "of a core"),
    Line("first-page", "the first page of 100,000 pictures", "the same query in sqlite3", 5,
         "lower"),
    Line("help-start", "trailcam --help", 'python -c "import twisted.internet"', 2, "lower"),
)  # fmt: skip

#: All lines by name, in the order of the table.
LINES = {line.name: line for line in _TABLE}
