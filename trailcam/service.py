"""
What C{twistd trailcam} runs, and what other applications take in: a service
for each camera that visits it now and then and brings its new pictures home.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python import usage
from twisted.python.failure import Failure

from trailcam.client import Camera
from trailcam.commands import DeviceInformation, MediaFile
from trailcam.config import CameraConfig, Config, default_library, default_state, load
from trailcam.errors import LoginRefused, TrailcamError
from trailcam.library import Library, StoredFile
from trailcam.library.sync import Observer, SyncReport, sync
from trailcam.logs import make_logger, set_level
from trailcam.target import Policy, Target, parse_address
from trailcam.worker import Worker

__all__ = ["CameraService", "LibraryService", "Options", "makeService", "make_station"]


class _Quiet:
    """An observer that wants to know nothing."""

    def informed(self, information: DeviceInformation) -> None: ...
    def found(self, new: int, known: int) -> None: ...
    def stored(self, file: StoredFile) -> None: ...
    def failed(self, file: MediaFile, why: str) -> None: ...


class LibraryService(Service):
    """
    A library that several cameras share: open while the service runs.

    @ivar library: the library.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self._lock = DeferredLock()
        self._open = False

    def ready(self) -> Deferred[None]:
        """Open it, if it is not; fails with L{LibraryError <trailcam.errors.LibraryError>}."""
        return self._lock.run(self._ensure)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        if not self._open:
            return succeed(None)
        self._open = False
        return self.library.close()

    def _ensure(self) -> Deferred[None]:
        if self._open:
            return succeed(None)

        def opened(_: None) -> None:
            self._open = True

        return self.library.open().addCallback(opened)


class CameraService(Service):
    """
    Visits one camera: connect, fetch what is new, close; again after the interval.

    It can be added to any C{MultiService}; stopping it says CLOSE to the camera.

    @ivar camera: the client; its source port is remembered.
    @ivar last: the report of the last visit that succeeded; C{None} before.
    @ivar error: why the last visit failed; C{None} when it did not.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        reactor: Any,
        config: CameraConfig,
        library: LibraryService,
        *,
        policy: Policy | None = None,
        state: Path | None = None,
        observer: Observer | None = None,
        connected: Callable[[Camera], None] = lambda camera: None,
        worker: Worker | None = None,
    ) -> None:
        """
        @param library: shared with other cameras.
        @param state: where the source port is remembered.
        @param observer: is told of every file.
        @param connected: is told when a session stands; it must not stop this service
            before it has returned.
        @param worker: does what touches the disk; C{None}: the reactor's threads.
        """
        self.setName(config.name)
        self._reactor = reactor
        self._config = config
        self._library = library
        self._observer = observer or _Quiet()
        self._connected = connected
        self._visiting: Deferred[Any] | None = None
        self._waiting: list[Deferred[Any]] = []
        self._next: IDelayedCall | None = None
        self.last: SyncReport | None = None
        self.error: TrailcamError | None = None
        self.camera = Camera(
            reactor,
            config.target,
            user=config.user,
            password=config.password,
            zone=config.zone,
            policy=policy,
            state=state,
            worker=worker,
        )

    def startService(self) -> None:
        """Begin with a visit at once."""
        super().startService()
        self._begin()

    def stopService(self) -> Deferred[Any]:
        """Interrupt a visit; fires when the camera was told and the port is free."""
        super().stopService()
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._visiting is None:
            return self.camera.close()
        over = self._visiting
        over.cancel()
        return over

    def visit(self) -> Deferred[SyncReport]:
        """
        Visit the camera now.

        @return: fires with what came home; joins a visit that is going on.
        """
        waiting: Deferred[SyncReport] = Deferred()
        self._waiting.append(waiting)
        if self._visiting is None:
            self._visiting = Deferred.fromCoroutine(self._visit())
            self._visiting.addBoth(self._visited)
        return waiting

    async def _visit(self) -> SyncReport:
        try:
            await self._library.ready()
            await self.camera.connect()
            self._connected(self.camera)
            await self.camera.login()
            return await sync(
                self._reactor,
                self.camera,
                self._library.library,
                self._observer,
                self._config.zone,
            )
        finally:
            await self.camera.close()

    def _visited(self, result: SyncReport | Failure) -> None:
        self._visiting = None
        if not isinstance(result, Failure):
            self.last, self.error = result, None
        elif isinstance(result.value, TrailcamError):
            self.error = result.value
        elif not result.check(CancelledError):
            self.error = TrailcamError(result.getErrorMessage())
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:  # else whoever asked has given up
                each.callback(result)

    # -- by itself ---------------------------------------------------------

    def _begin(self) -> None:
        self._next = None
        self.visit().addCallbacks(self._tell, self._complain).addBoth(self._schedule)

    def _tell(self, report: SyncReport) -> None:
        self.log.info(
            "{name}: {new} new, {skipped} here already, {failed} failed, in {seconds:.1f} s",
            name=self.name, new=report.new, skipped=report.skipped, failed=report.failed,
            seconds=report.seconds,
        )  # fmt: skip

    def _complain(self, failure: Failure) -> None:
        if failure.check(TrailcamError):
            self.log.error("{name}: {why}", name=self.name, why=str(failure.value))
        elif not failure.check(CancelledError):
            self.log.failure("{name}: a visit ended in a fault of ours", failure, name=self.name)

    def _schedule(self, _: object) -> None:
        if not self.running:
            return
        if isinstance(self.error, LoginRefused):
            self.log.error("{name}: not called again until the password is mended and this "
                           "service restarted", name=self.name)  # fmt: skip
        elif self._config.interval:
            self._next = self._reactor.callLater(self._config.interval, self._begin)


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
        except TrailcamError as error:
            # A UsageError would have twistd print all of its help first.
            raise SystemExit(f"trailcam: {error}") from None

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


def make_station(reactor: Any, config: Config) -> MultiService:
    """
    All of a configuration as one service.

    @param reactor: provides what L{Camera} and L{Library} need.
    """
    station = MultiService()
    library = LibraryService(Library(config.library, reactor))
    library.setServiceParent(station)
    for camera in config.cameras:
        CameraService(
            reactor, camera, library, policy=config.policy, state=config.state
        ).setServiceParent(station)
    return station


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
    return make_station(reactor, options.station)
