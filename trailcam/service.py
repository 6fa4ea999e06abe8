"""
What C{twistd trailcam} runs: its options, and all of a configuration as one service.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred
from twisted.python import usage

from trailcam.board import StatusBoard
from trailcam.cameraservice import CameraService, LibraryService, LogListener
from trailcam.config import CameraConfig, Config, default_library, default_state, load
from trailcam.errors import TrailcamError
from trailcam.extras import check_extras, missing
from trailcam.happenings import Listeners
from trailcam.library import Library, Quota, StoredFile
from trailcam.library.visits import Visit
from trailcam.logs import make_logger, set_level
from trailcam.notify.service import Notifier
from trailcam.notify.settings import check
from trailcam.radio.station import Radios
from trailcam.session.session import Session
from trailcam.target import Policy, Target, parse_address
from trailcam.web.settings import WebSettings, check_access, folder
from trailcam.wishes import wished_for
from trailcam.worker import ThreadWorker

if TYPE_CHECKING:
    from trailcam.metrics import Metrics
    from trailcam.web.context import Context
    from trailcam.web.resource import WebResource
    from trailcam.web.service import WebService

__all__ = [
    "CameraService",
    "LibraryService",
    "LogListener",
    "Options",
    "Station",
    "makeService",
]


#: Among so many files the last picture of each camera is looked for.
RECENT = 1000

#: So many seconds the service waits while another program uses the radios.
RADIO_PATIENCE = 90.0


class Options(usage.Options):
    """The options of C{twistd trailcam}."""

    synopsis = "[options]"
    longdesc = (
        "Brings home the pictures of Wi-Fi trail cameras. Give it a tap.conf (write one with "
        "`trailcam init`), or name a camera with the options below; with neither, the camera is "
        "searched for."
    )
    optParameters: Sequence[Any] = [
        ["config", "c", None, "Read this tap.conf.", str],
        ["camera", None, None, "The camera: HOST[:PORT].", str],
        ["library", "l", None, "Where the pictures go.", str],
        ["state", "s", None, "Where source ports are remembered.", str],
        ["interval", "i", None, "Minutes between visits (60); 0: only one.", float],
        ["local-port", None, None, "Call from this source port.", int],
    ]

    def postOptions(self) -> None:
        """Refuse what cannot be, before anything starts."""
        try:
            self.station = self._station()
            check_extras(self.station)
            check(self.station)
            if "web" in self.station.extras:
                settings = WebSettings.of(self.station.extras["web"])
                check_access(settings.endpoint, self.station.state)
        except TrailcamError as error:
            # A UsageError would have twistd print all of its help first.
            print(f"trailcam: {error}", file=sys.stderr)
            raise SystemExit(error.exit_status) from None
        # Until the station can obey it; else it would end us.
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    def _station(self) -> Config:
        if self["config"]:
            config = load(Path(self["config"]))
        else:
            cameras = (CameraConfig("camera", Target(name="camera")),)
            config = Config(default_library(), default_state(), "info", Policy(), cameras)
        config = self._with_paths(config)
        if not self["config"] or self["camera"]:
            config = replace(config, cameras=(self._camera(config.cameras[0]),))
        return config

    def _with_paths(self, config: Config) -> Config:
        def path(name: str, usual: Path) -> Path:
            return Path(self[name]).expanduser().absolute() if self[name] else usual

        return replace(
            config, library=path("library", config.library), state=path("state", config.state)
        )

    def _camera(self, camera: CameraConfig) -> CameraConfig:
        target = camera.target
        if self["camera"]:
            host, port = parse_address(self["camera"])
            target = replace(target, host=host, port=port, name=None)
        if self["local-port"] is not None:
            if not 0 < self["local-port"] < 65536:
                raise usage.UsageError("--local-port must be a number from 1 to 65535")
            target = replace(target, local_port=self["local-port"])
        if self["interval"] is not None:
            if not 0 <= self["interval"] <= 43200:
                raise usage.UsageError("--interval must be a number of minutes from 0 to 43200")
            camera = replace(camera, interval=self["interval"] * 60, times=())
        return replace(camera, target=target)


class Station(MultiService):
    """
    The cameras of one configuration, with the library and the radios that they share.

    @ivar config: the configuration.
    @ivar library: the library.
    @ivar listeners: who is told what happens; the log is one of them.
    @ivar radios: the radios.
    @ivar notifier: tells other programs, as far as the configuration names some.
    @ivar web: shows it to browsers; C{None} where that is not wanted.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        reactor: Any,
        config: Config,
        *,
        outages: Mapping[str, Callable[[float], None]] | None = None,
    ) -> None:
        """
        @param reactor: provides what L{Camera} and L{Library} need.
        @param outages: what makes the radio of a simulated camera fall silent for so many
            seconds, by name.
        @raise ConfigError: when an extra is wanted that is not installed.
        """
        super().__init__()
        self.config = config
        self._outages = outages or {}
        self.radios = Radios(reactor, state=config.state, waits=RADIO_PATIENCE)
        self.listeners = Listeners(LogListener())
        self.library = LibraryService(
            Library(config.library, reactor), Quota(config.keep_free, config.keep_days)
        )
        self.library.setServiceParent(self)
        for camera in config.cameras:
            service = CameraService(
                reactor, camera, self.library, policy=config.policy, state=config.state,
                radios=self.radios, listener=self.listeners,
            )  # fmt: skip
            service.setServiceParent(self)
        visits = {str(camera.name): camera.visit_now for camera in self.cameras}
        self.notifier = Notifier(reactor, config, visits, self._recall)
        self.listeners.add(self.notifier)
        self._reactor = reactor
        self._metrics = self._make_metrics()
        if self._metrics is not None and config.metrics_file is not None:
            from trailcam.metrics import MetricsFile

            writer = ThreadWorker(reactor)
            self.listeners.add(MetricsFile(self._metrics, config.metrics_file, writer))
        self.web = self._make_web() if "web" in config.extras else None

    @property
    def cameras(self) -> list[CameraService]:
        """The service of each camera."""
        return [service for service in self if isinstance(service, CameraService)]

    def visit_wished(self) -> None:
        """Visit the cameras that are wished for now, or all; on one radio one after the other."""
        names = wished_for(self.config.state)
        known = {str(service.name): service for service in self.cameras}
        for name in names or known:
            if name in known:
                known[name].visit_now()
            else:
                self.log.warn("{name} is not a camera of this service: restart it when tap.conf "
                              "has changed", name=name)  # fmt: skip

    def resource(self) -> WebResource:
        """
        All pages and the HTTP API, for a site of your own: put it where you like. Needs the extra
        C{web}; whoever reaches your site can see it, unless there is a password.
        """
        from trailcam.web.service import web_resource

        return web_resource(self._context)

    def startService(self) -> None:
        """Start them all; what happens at once is told too."""
        self.notifier.startService()
        super().startService()

    def stopService(self) -> Deferred[Any]:
        """Stop them all, then whom that is told to, and let go of the radios."""
        stopping: Deferred[Any] = super().stopService()
        stopping.addBoth(lambda _: self.notifier.stopService())
        return stopping.addBoth(lambda _: self.radios.close())

    def _make_metrics(self) -> Metrics | None:
        """What is counted, where somebody wants to know and it can be told."""
        shown = "web" in self.config.extras and not missing("metrics")
        if self.config.metrics_file is None and not shown:
            return None
        from trailcam.metrics import Metrics

        def session_with(service: CameraService) -> Callable[[], Session | None]:
            return lambda: service.camera.session

        outbox = self.notifier.outbox
        metrics = Metrics(
            {str(service.name): session_with(service) for service in self.cameras},
            {name: partial(outbox.waiting, name) for name in self.notifier.wanted}
            if outbox
            else {},
        )
        self.listeners.add(metrics)
        return metrics

    def _make_web(self) -> WebService:
        """Show it to browsers."""
        from trailcam.web.service import WebService

        web = WebService(self._context)
        web.setServiceParent(self)
        return web

    @cached_property
    def _context(self) -> Context:
        """This station, as its pages need it; one for all, so that to log out counts everywhere."""
        from trailcam.web.access import Access
        from trailcam.web.context import Context

        board = StatusBoard()
        self.listeners.add(board)
        return Context(
            self._reactor,
            WebSettings.of(self.config.extras.get("web", {})),
            self.library,
            {str(service.name): service for service in self.cameras},
            Access(folder(self.config.state), ThreadWorker(self._reactor)),
            board,
            self._metrics,
            self._outages,
        )

    def _recall(self, name: str) -> Deferred[tuple[list[Visit], StoredFile | None]]:
        """What is known of a camera from before: its visits, and its last picture."""

        async def recall() -> tuple[list[Visit], StoredFile | None]:
            await self.library.ready()
            library = self.library.library
            visits = await library.visits(name, -1)
            newest = (file for file in await library.files(limit=RECENT) if file.camera == name)
            return visits, next(newest, None)

        return Deferred.fromCoroutine(recall())


class _VisitSignal(Service):
    """SIGUSR1: visit cameras now."""

    def __init__(self, reactor: Any, station: Station) -> None:
        self._reactor = reactor
        self._station = station

    def startService(self) -> None:
        super().startService()
        signal.signal(signal.SIGUSR1, self._asked)

    def stopService(self) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        super().stopService()

    def _asked(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._station.visit_wished)


def makeService(options: Options) -> IService:
    """What C{twistd} calls."""
    from twisted.internet import reactor as global_reactor

    reactor: Any = global_reactor
    if not reactor.getDelayedCalls():  # else somebody has set a timer by the other clock
        # When the machine's time is set, no timer may fire early or never.
        reactor.seconds = time.monotonic
    set_level(options.station.log_level)
    for warning in options.station.warnings:
        make_logger(__name__).warn("{warning}", warning=warning)
    station = Station(reactor, options.station)
    _VisitSignal(reactor, station).setServiceParent(station)
    return station
