"""
Metrics for Prometheus: what visits were like, and what the links lost.

Of a session is counted what it has counted since it was last looked at, which
is whenever something happens at its camera.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.python.failure import Failure

from trailcam.durable import write_whole
from trailcam.happenings import Happening, VisitEnded
from trailcam.library.visits import Visit
from trailcam.logs import make_logger
from trailcam.session.session import Session, Statistics
from trailcam.worker import Worker

__all__ = ["Metrics", "MetricsFile"]

#: By name: what it is, and the label it has besides the camera. Counted from 0 at each start.
_COUNTERS = {
    "visits": ("Visits that are over.", "outcome"),
    "phase_seconds": ("How long the phases of visits took.", "phase"),
    "awake_seconds": ("How long visits kept the camera awake.", None),
    "transferring_seconds": ("In how much of that files came.", None),
    "files": ("Files that came home.", None),
    "files_failed": ("Files that could not be fetched.", None),
    "bytes": ("Bytes that files came home with.", None),
    "sessions": ("Sessions with the camera.", None),
    "sessions_lost": ("Sessions that were lost, and came back.", None),
    "datagrams_received": ("Datagrams from the camera.", None),
    "datagrams_sent": ("Datagrams to the camera.", None),
    "datagrams_resent": ("Datagrams sent to the camera again, as they were lost.", None),
    "datagrams_duplicate": ("Datagrams that the camera sent again, though they had come.", None),
    "datagrams_malformed": ("Datagrams that no camera should send.", None),
    "dropped_bytes": ("Bytes that came in channels that nobody reads.", None),
}
#: By name: what it is. As last heard.
_GAUGES = {
    "battery_percent": "The camera's battery.",
    "card_free_bytes": "What is free on the camera's card.",
    "temperature_celsius": "The camera's temperature.",
    "clock_drift_seconds": "By how much the camera's clock was ahead.",
    "last_success_timestamp_seconds": "When a visit last went well.",
    "last_visit_awake_seconds": "How long the last visit kept the camera awake.",
    "round_trip_seconds": "How long a datagram and its acknowledgement take.",
}


class Metrics(Collector):
    """
    Counts what happens.

    @ivar registry: what to give to whoever serves the metrics.
    """

    def __init__(
        self,
        cameras: Mapping[str, Callable[[], Session | None]],
        queues: Mapping[str, Callable[[], int]] | None = None,
    ) -> None:
        """
        @param cameras: what gives the session with each of them, while there is one, by name.
        @param queues: what tells how many messages wait, by destination.
        """
        self._cameras = cameras
        self._queues = queues or {}
        self._counters: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in _COUNTERS}
        self._gauges: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in _GAUGES}
        self._seen: dict[str, tuple[Session, Statistics]] = {}
        for camera in cameras:  # a counter that is missing is no counter at 0
            for name, (_, label) in _COUNTERS.items():
                if label is None:
                    self._count(name, 0, camera)
        # Not prometheus_client's own counters: each would bring a second metric, "created".
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def happened(self, what: Happening) -> None:
        """See L{Listener.happened <trailcam.happenings.Listener.happened>}."""
        if what.camera not in self._cameras:
            return
        self._look(what.camera)
        if isinstance(what, VisitEnded):
            self._seen.pop(what.camera, None)
            self._visited(what.visit)

    def text(self) -> bytes:
        """All of it, in the text format of Prometheus."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """What C{prometheus_client} calls."""
        for name, (text, label) in _COUNTERS.items():
            labels = ["camera"] if label is None else ["camera", label]
            counter = CounterMetricFamily(f"trailcam_{name}", text, labels=labels)
            for values, count in self._counters[name].items():
                counter.add_metric(values, count)
            yield counter
        for name, text in _GAUGES.items():
            gauge = GaugeMetricFamily(f"trailcam_{name}", text, labels=["camera"])
            for values, value in self._gauges[name].items():
                gauge.add_metric(values, value)
            yield gauge
        waiting = GaugeMetricFamily(
            "trailcam_outbox_messages", "Messages that wait.", labels=["destination"]
        )
        for destination, length in self._queues.items():
            waiting.add_metric([destination], length())
        yield waiting

    def _visited(self, visit: Visit) -> None:
        camera = visit.camera
        self._count("visits", 1, camera, visit.outcome)
        for phase, seconds in visit.phases.items():
            self._count("phase_seconds", seconds, camera, phase)
        self._count("awake_seconds", visit.awake, camera)
        self._count("transferring_seconds", visit.transferring, camera)
        self._count("files", visit.new, camera)
        self._count("files_failed", visit.failed, camera)
        self._count("bytes", visit.bytes, camera)
        self._set("last_visit_awake_seconds", visit.awake, camera)
        self._set("battery_percent", visit.battery, camera)
        free = visit.card_free_mb
        self._set("card_free_bytes", None if free is None else free * 1e6, camera)
        self._set("temperature_celsius", visit.temperature, camera)
        self._set("clock_drift_seconds", visit.clock_drift, camera)
        if visit.outcome == "ok":
            self._set("last_success_timestamp_seconds", visit.ended.timestamp(), camera)

    def _look(self, camera: str) -> None:
        """Count what the session has counted since."""
        session = self._cameras[camera]()
        if session is None:
            return
        known, before = self._seen.get(camera, (None, Statistics()))
        if session is not known:
            before = Statistics()
            self._count("sessions", 1, camera)
            self._count("sessions_lost", known is not None, camera)
        now = replace(session.statistics)
        self._seen[camera] = (session, now)
        for name, count in (
            ("datagrams_received", now.received - before.received),
            ("datagrams_sent", now.sent - before.sent),
            ("datagrams_resent", now.resent - before.resent),
            ("datagrams_duplicate", now.duplicates - before.duplicates),
            ("datagrams_malformed", now.malformed - before.malformed),
            ("dropped_bytes", now.dropped_bytes - before.dropped_bytes),
        ):
            self._count(name, count, camera)
        self._set("round_trip_seconds", session.round_trip, camera)

    def _count(self, name: str, count: float, *labels: str) -> None:
        values = self._counters[name]
        values[labels] = values.get(labels, 0) + count

    def _set(self, name: str, value: float | None, *labels: str) -> None:
        if value is not None:
            self._gauges[name][labels] = value


class MetricsFile:
    """Writes the metrics into a file after each visit: for node_exporter's textfile collector."""

    log = make_logger(__name__)

    def __init__(self, metrics: Metrics, path: Path, worker: Worker) -> None:
        """
        @param worker: writes it.
        """
        self._metrics = metrics
        self._path = path
        self._worker = worker
        self._failing = False

    def happened(self, what: Happening) -> None:
        """See L{Listener.happened <trailcam.happenings.Listener.happened>}."""
        if isinstance(what, VisitEnded):
            writing = self._worker.call(_write, self._path, self._metrics.text())
            writing.addCallbacks(self._written, self._failed)

    def _written(self, _: object) -> None:
        self._failing = False

    def _failed(self, failure: Failure) -> None:
        if not self._failing:
            self.log.warn("the metrics cannot be written: {why}", why=failure.getErrorMessage())
        self._failing = True


def _write(path: Path, text: bytes) -> None:
    write_whole(path, text)
    path.chmod(0o644)  # node_exporter is another user
