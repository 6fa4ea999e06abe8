"""
A long life: cameras and clients by the dozen in one process, which stays as small as it was.

Half a minute; C{TRAILCAM_LONG=1} makes it an hour, C{TRAILCAM_SOAK} any number of seconds.
L{tests.soaking} is what runs.
"""

from __future__ import annotations

import json
import os
import sys
from itertools import count
from statistics import median
from typing import Any

from tests.processes import ProcessTestCase, only_once
from tests.soaking import CAMERAS, WATCHED, WRAP

USUAL = 3600 if os.environ.get("TRAILCAM_LONG") else 25
SECONDS = float(os.environ.get("TRAILCAM_SOAK") or USUAL)
#: What is measured, and by how much of it and by how much besides it may grow.
STEADY = {
    "fds": (0.0, 10),
    "calls": (0.0, 15),
    "threads": (0.0, 2),
    "rss": (0.02, 4 * 1024),
    "blocks": (0.02, 4000),
}

Sample = dict[str, Any]


class SoakTests(ProcessTestCase):
    """Fifty cameras, visited and looked at, with outages, on real sockets."""

    def soak(self) -> list[Sample]:
        """Run it; what it measured: before, meanwhile, and after."""
        process = self.start_any(
            [sys.executable, "-m", "tests.soaking", str(SECONDS), "1", str(self.home)]
        )
        samples: list[Sample] = []
        for number in count(1):
            samples.append(json.loads(process.out_line('"phase"', number)))
            if samples[-1]["phase"] == "end":
                break
        self.assertEqual((process.end(), process.err), (0, []))
        return samples

    def test_soak(self) -> None:
        """
        Descriptors, memory, timers and threads stay what they are; in the end nothing is left
        of them, every photo is home whole, and no camera ever saw a second source port.
        """
        only_once()
        before, *life, end = self.soak()
        self.assert_steady(life)
        self.assertEqual((end["fds"], end["calls"], end["left"]), (before["fds"], 0, []))
        self.assertEqual((end["faults"], end["complaints"], end["wrong"]), ([], [], []))
        self.assertGreaterEqual(end["whole"], 3 * (CAMERAS - WATCHED))
        self.assertEqual(end["ports"], [1] * CAMERAS)
        self.assert_lively(end)

    def assert_steady(self, life: list[Sample]) -> None:
        """The last third is like the second; the first is for warming up."""
        third = len(life) // 3
        for name, (share, more) in STEADY.items():
            middle, last = (
                median(sample[name] for sample in part)
                for part in (life[third : 2 * third], life[2 * third :])
            )
            self.assertLessEqual(last, middle * (1 + share) + more, f"{name} grows: {life}")

    def assert_lively(self, end: Sample) -> None:
        """Enough has happened, or all this would prove little."""
        # One session, more datagrams on a channel than there are indexes, and none missed.
        self.assertGreater(end["rushed"], WRAP)
        self.assertEqual((end["steady"], end["missed"]), (1, 0))
        self.assertEqual(set(end["outages"]), {"silence", "close", "power", "restart"})
        self.assertGreater(sum(end["sessions"]), 5 * CAMERAS)
        self.assertGreater(min(end["frames"]), 50)
