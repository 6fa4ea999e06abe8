"""What a long video takes in memory, what idle sessions take of a core, what a start takes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.lines import LINES, Result
from benchmarks.processes import ROOT, Process

__all__ = ["help_start", "idle_sessions", "video_memory"]

#: The long video, in MB of 1024 * 1024.
MEGABYTES = 300
SESSIONS = 200
#: A heartbeat may be so many seconds late.
LATE = 0.5


def video_memory(quick: bool) -> Result:
    """Each round: memory, a video of 300 MB, and the most that memory was meanwhile."""
    found = []
    for _ in range(1 if quick else 3):
        with Process("sender", video=True) as sender, Process("receiver", kind="play") as receiver:
            played = receiver.ask("play", ports=sender.ready["ports"], megabytes=MEGABYTES)
            found.append((played["peak"] - played["before"], played))
    more, played = sorted(found, key=lambda pair: pair[0])[len(found) // 2]
    note = (
        f"{played['peak'] / 2**20:.0f} MiB at most, {played['before'] / 2**20:.0f} before; "
        f"{played['size'] / 2**20:.0f} MiB played in {played['seconds']:.0f} s"
    )
    return Result(LINES["video-memory"], more / 2**20, note)


def idle_sessions(quick: bool) -> Result:
    """Each round is as long as one heartbeat of every session, or some."""
    rounds, seconds = (3, 3.0) if quick else (5, 6.0)
    with Process("sender", cameras=SESSIONS) as sender, \
            Process("visitor", kind="idlers") as visitor:  # fmt: skip
        visitor.ask("start", ports=sender.ready["ports"])
        found = [visitor.ask("measure", seconds=seconds) for _ in range(rounds)]
        beats = sender.ask("report")
    share = median(each["cpu"] / each["seconds"] for each in found)
    steady = found[-1]["sessions"] == SESSIONS
    note = f"heartbeat at most {max(beats['late'], 0.0):.2f} s late, {beats['beats']} came"
    if not steady:
        note += f", but sessions were lost: {found[-1]['sessions']} for {SESSIONS} cameras"
    return Result(LINES["idle-sessions"], share, note, steady and beats["late"] <= LATE)


def help_start(quick: bool) -> Result:
    """The two commands in turn."""
    script = Path(sys.executable).with_name("trailcam")
    ours = [str(script)] if script.exists() else [sys.executable, "-m", "trailcam"]
    theirs = [sys.executable, "-c", "import twisted.internet"]
    found = [(_took([*ours, "--help"]), _took(theirs)) for _ in range(7 if quick else 21)]
    one, other = (median(times) for times in zip(*found, strict=True))
    value = median(mine / yours for mine, yours in found)
    return Result(LINES["help-start"], value, f"{one * 1e3:.0f} against {other * 1e3:.0f} ms")


def _took(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began
