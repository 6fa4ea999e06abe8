"""Metrics, as Prometheus reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SkipTest, TestCase

from tests.support import client_session, story
from tests.test_cameraservice import ServiceTestCase
from trailcam.happenings import Happening, PhaseBegan, VisitEnded
from trailcam.library.visits import Visit
from trailcam.session.session import Session
from trailcam.testing import InlineWorker

try:
    from prometheus_client.parser import text_string_to_metric_families

    from trailcam.metrics import Metrics, MetricsFile
except ImportError:
    Metrics = MetricsFile = None  # type: ignore[assignment, misc]

NOW = datetime(2026, 6, 1, 5, tzinfo=UTC)


def read(text: bytes) -> dict[str, dict[tuple[str, ...], float]]:
    """What Prometheus takes out of it: values by name and labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            assert family.documentation, family.name
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


class MetricsTests(TestCase):
    """What is counted."""

    def setUp(self) -> None:
        if Metrics is None:
            raise SkipTest("needs the extra metrics")
        self.session: Session | None = None
        self.metrics = Metrics({"garden": lambda: self.session}, {"mqtt": lambda: 7})

    def tell(self, *what: Happening) -> dict[str, dict[tuple[str, ...], float]]:
        """Something happens; what Prometheus reads then."""
        for each in what:
            self.metrics.happened(each)
        return read(self.metrics.text())

    def visit(self, outcome: Any = "ok", **more: Any) -> VisitEnded:
        """One that is over."""
        return VisitEnded("garden", Visit("garden", NOW, NOW, outcome, **more))

    def test_nothing_yet(self) -> None:
        """Counters begin at 0; what was never heard is not there; no name is odd."""
        found = self.tell()
        self.assertEqual(found["trailcam_files_total"], {("garden",): 0})
        self.assertNotIn("trailcam_battery_percent", found)
        self.assertEqual(found["trailcam_outbox_messages"], {("mqtt",): 7})
        self.assertEqual([name for name in found if name.endswith("_created")], [])
        self.assertTrue(all(name.startswith("trailcam_") for name in found))

    def test_visits(self) -> None:
        """Visits add up; gauges are as last heard; strangers are not counted."""
        first = self.visit(new=2, bytes=4000, awake=9.5, transferring=2.0, battery=80,
                           card_free_mb=512, temperature=-3.0, clock_drift=1.0,
                           phases={"login": 0.5, "syncing": 3.0})  # fmt: skip
        later = self.visit("failed", why="gone", failed=1, awake=1.0, phases={"login": 1.0})
        stranger = VisitEnded("pond", Visit("pond", NOW, NOW, "ok"))
        found = self.tell(first, later, stranger)
        self.assertEqual(found["trailcam_visits_total"],
                         {("garden", "ok"): 1, ("garden", "failed"): 1})  # fmt: skip
        self.assertEqual(found["trailcam_phase_seconds_total"],
                         {("garden", "login"): 1.5, ("garden", "syncing"): 3.0})  # fmt: skip
        for name, value in (
            ("files_total", 2), ("files_failed_total", 1), ("bytes_total", 4000),
            ("awake_seconds_total", 10.5), ("battery_percent", 80), ("card_free_bytes", 512e6),
            ("temperature_celsius", -3), ("last_visit_awake_seconds", 1.0),
            ("last_success_timestamp_seconds", NOW.timestamp()),
        ):  # fmt: skip
            self.assertEqual(found[f"trailcam_{name}"], {("garden",): value}, name)

    def test_sessions(self) -> None:
        """Each session is counted from its beginning, once; one that was lost is one more."""
        began = PhaseBegan("garden", "login", NOW)
        self.session = client_session()
        received = self.session.statistics.received
        self.tell(began, began)
        self.session.receive_datagram(b"nonsense", 1.0)
        found = self.tell(began)
        self.assertEqual(found["trailcam_datagrams_received_total"], {("garden",): received + 1})
        self.assertEqual(found["trailcam_datagrams_malformed_total"], {("garden",): 1})
        self.session = client_session()
        self.tell(began)
        self.session = None
        found = self.tell(self.visit())
        self.assertEqual(found["trailcam_datagrams_received_total"],
                         {("garden",): 2 * received + 1})  # fmt: skip
        self.assertEqual(found["trailcam_sessions_lost_total"], {("garden",): 1})
        self.session = client_session()
        found = self.tell(began)
        self.assertEqual(found["trailcam_sessions_lost_total"], {("garden",): 1})
        self.assertEqual(found["trailcam_sessions_total"], {("garden",): 3})

    def test_file(self) -> None:
        """It is written whole after each visit, readable for others; trouble is told once."""
        path = Path(self.mktemp()) / "trailcam.prom"
        writer = MetricsFile(self.metrics, path, InlineWorker())
        with capturedLogs() as events:
            for _ in range(2):
                writer.happened(self.visit())
        self.assertEqual(len(story(events, LogLevel.warn)), 1)
        path.parent.mkdir(parents=True)
        writer.happened(PhaseBegan("garden", "login", NOW))
        self.assertFalse(path.exists())
        writer.happened(self.visit())
        self.assertEqual(path.read_bytes(), self.metrics.text())
        self.assertEqual(path.stat().st_mode & 0o777, 0o644)


class LinkTests(ServiceTestCase):
    """A whole visit."""

    def test_bad_link(self) -> None:
        """What a bad link lost is counted, and how long its round trips are."""
        if Metrics is None:
            raise SkipTest("needs the extra metrics")
        lost = iter(range(10**9))
        self.network.drops = lambda sent: next(lost) % 10 == 9
        service = self.service()
        metrics = Metrics({"garden": lambda: service.camera.session})
        service._listener.add(metrics)
        report = self.network.run_until(service.visit(), 60)
        found = read(metrics.text())
        self.assertEqual(report.new, 2)
        for name in ("datagrams_received_total", "datagrams_sent_total", "round_trip_seconds"):
            self.assertGreater(found[f"trailcam_{name}"]["garden",], 0, name)
        both = [found[f"trailcam_datagrams_{name}_total"]["garden",]
                for name in ("resent", "duplicate")]  # fmt: skip
        self.assertGreater(sum(both), 0)
        self.assertEqual(found["trailcam_bytes_total"]["garden",], report.bytes)
        self.assertGreater(self.now(), NOW - timedelta(days=1))
        self.stop(service)
