"""
L{Camera}: talking to one camera, for programs that use Twisted.

Example::

    async def main(reactor):
        camera = Camera(reactor, Target(host="192.168.43.1"), state=Path("state"))
        await camera.connect()
        await camera.login()
        print((await camera.info()).battery_percent)
        async for file in camera.media():
            await camera.download(file, Path(file.label))
        await camera.close()
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredList,
    DeferredLock,
    fail,
    succeed,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from trailcam.commands import (
    PAGE_SIZE,
    Command,
    DeviceInformation,
    Download,
    GetDeviceInformation,
    Heartbeat,
    ListMedia,
    Login,
    MediaFile,
    Play,
    Raw,
    Sleep,
    StartLive,
    StopLive,
    StopPlaying,
    Thumbnails,
)
from trailcam.connector import Connector
from trailcam.conversation import FILES, LIVE, PLAYBACK, THUMBNAILS, Conversation
from trailcam.errors import CameraLost, CommandFailed, DamagedTransfer, TrailcamError
from trailcam.interfaces import ICameraReactor
from trailcam.photos import PhotoReceiver, ThumbnailReceiver
from trailcam.playback import LiveFrames, PlaybackReceiver
from trailcam.portmemory import PortMemory
from trailcam.sinks import Downloaded, FileSink, Flow, MovieSink
from trailcam.target import Policy, Target
from trailcam.worker import ThreadWorker, Worker

__all__ = ["BATCH", "Camera", "MediaListing"]

Reply = TypeVar("Reply")

#: A camera sends at most so many photos for one request (W).
BATCH = 3
#: A command that changes nothing is asked again so often when the session is lost.
TRIES = 3


class Camera:
    """
    One camera, for as long as it is wanted.

    After L{login} a lost session comes back by itself, from the same source
    port: whoever asks for something meanwhile waits for it. Errors are those
    of L{trailcam.errors}: a refused login is L{LoginRefused}, an error result
    L{CommandFailed <trailcam.errors.CommandFailed>}, a lost session
    L{CameraLost}, and nobody there L{NoCameraAnswered
    <trailcam.errors.NoCameraAnswered>}.

    @ivar target: which camera it is.
    @ivar sessions: how many sessions have been opened.
    @ivar progress: called with every number of bytes of media that arrive.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        target: Target,
        *,
        user: str = "admin",
        password: str = "admin",
        zone: tzinfo | None = None,
        policy: Policy | None = None,
        state: Path | None = None,
        worker: Worker | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """
        @param reactor: provides L{ICameraReactor}, and threads unless C{worker} is given.
        @param zone: the camera's time zone; C{None} for the station's.
        @param state: the folder where the source port is remembered; C{None}: not at all.
        @param worker: does what touches the disk.
        @param wall_clock: the time in seconds since 1970, in UTC.
        """
        self.target = target
        self.sessions = 0
        self.progress: Callable[[int], None] = lambda count: None
        self._reactor: ICameraReactor = reactor
        self._policy = policy or Policy()
        self._worker = worker or ThreadWorker(reactor)
        self._user, self._password = user, password
        self._zone, self._wall_clock = zone, wall_clock
        memory = PortMemory(state) if state is not None else None
        self._connector = Connector(reactor, target, self._policy, memory, self._worker)
        self._conversation: Conversation | None = None
        self._door = DeferredLock()
        # What close() interrupts, and what then tells that it is over.
        self._attempts: dict[Deferred[None], Deferred[None]] = {}
        self._arriving: Deferred[None] | None = None
        self._waiting: list[Deferred[Conversation]] = []
        # Fires when the port of the last session is free.
        self._closing: Deferred[None] = succeed(None)
        self._wanted = self._closed = False
        self._view: LiveFrames | None = None
        self._plays = 0
        self._locks = {channel: DeferredLock() for channel in (FILES, PLAYBACK, THUMBNAILS)}

    # -- coming and going --------------------------------------------------

    def connect(self, timeout: float | None = None) -> Deferred[None]:
        """
        Find the camera and open a session with it; one that stands is kept.

        @param timeout: seconds for all attempts; C{None} for the policy's.
        """
        self._closed = False
        return self._attempt(self._connect(timeout))

    def login(self) -> Deferred[None]:
        """
        Log in, with the wall clock that the camera sets its own by.

        When the session is lost meanwhile, it is tried again in the next one.
        """
        return Deferred.fromCoroutine(self._log_in())

    def close(self) -> Deferred[None]:
        """
        End the session with CLOSE, or stop trying to have one.

        Whoever waits for something is told with L{CameraLost}; the next is L{connect}.

        @return: fires when the source port is free again.
        """
        return Deferred.fromCoroutine(self._close())

    @property
    def local_port(self) -> int:
        """The source port in use, or used last; 0 before the first attempt."""
        return self._connector.local_port

    @property
    def remembered(self) -> bool:
        """Whether the source port was known before this attempt."""
        return self._connector.remembered

    @property
    def address(self) -> tuple[str, int] | None:
        """Where the camera is, while there is a session."""
        conversation = self._conversation
        return conversation.protocol.peer if conversation and conversation.protocol else None

    # -- asking ------------------------------------------------------------

    def info(self) -> Deferred[DeviceInformation]:
        """What the camera says of itself: battery, card, firmware, settings."""
        return Deferred.fromCoroutine(self._ask(GetDeviceInformation()))

    def media(self) -> MediaListing:
        """What is on the card, as an asynchronous iteration; highest number first."""
        return MediaListing(lambda page: Deferred.fromCoroutine(self._ask(ListMedia(page))))

    def thumbnails(self, files: Sequence[MediaFile]) -> Deferred[dict[MediaFile, bytes]]:
        """
        Small JPEG pictures of photos and videos.

        @return: fires with the data of each.
        """
        return Deferred.fromCoroutine(self._thumbnails(list(files)))

    def download(self, file: MediaFile, path: Path) -> Deferred[Downloaded]:
        """
        Bring one photo or video home; a video becomes an MP4, not re-encoded.

        It is written to C{path} while it arrives; memory does not grow with it.

        @return: fails with L{DamagedTransfer <trailcam.errors.DamagedTransfer>}
            when it came damaged; nothing is left at C{path} then.
        """

        async def one() -> Downloaded:
            outcome = (await self._fetch([(file, path)]))[file]
            if isinstance(outcome, Failure):
                outcome.raiseException()
            return outcome

        return Deferred.fromCoroutine(one())

    def fetch(
        self, wanted: Sequence[tuple[MediaFile, Path]]
    ) -> Deferred[dict[MediaFile, Downloaded | Failure]]:
        """
        Bring several home with one request: up to L{BATCH} photos, or one video.

        @return: fires with what became of each; fails when none could be asked for.
        """
        return Deferred.fromCoroutine(self._fetch(wanted))

    def live(self) -> Deferred[LiveFrames]:
        """Start the live view; close what you get to stop it."""
        return Deferred.fromCoroutine(self._live())

    def send(self, request: dict[str, Any]) -> Deferred[dict[str, Any] | None]:
        """
        Send any command as JSON, the token added.

        @return: fires with the camera's answer, whatever it says; with C{None}
            for a command that gets none.
        """
        answer: Deferred[dict[str, Any] | None] = Deferred.fromCoroutine(self._send(Raw(request)))
        return answer

    def sleep(self) -> Deferred[Any]:
        """Tell the camera to sleep now (evidence P)."""
        return Deferred.fromCoroutine(self._send(Sleep()))

    # -- the session -------------------------------------------------------

    def _attempt(self, work: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        """Begin what L{close} interrupts."""
        attempt = Deferred.fromCoroutine(work)
        over = self._attempts[attempt] = Deferred()

        def ended(result: Failure | None) -> Failure | None:
            del self._attempts[attempt]
            over.callback(None)
            if self._closed and isinstance(result, Failure) and result.check(CancelledError):
                return Failure(CameraLost("the camera was closed"))
            return result

        return attempt.addBoth(ended)

    async def _close(self) -> None:
        self._wanted, self._closed = False, True
        for attempt, over in list(self._attempts.items()):
            attempt.cancel()
            await over
        await self._hang_up()

    async def _hang_up(self) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            self._closing = conversation.hang_up() or self._closing
        await _when_over(self._closing)

    async def _connect(self, timeout: float | None) -> None:
        await self._door.acquire()
        try:
            if self._conversation is None:
                await _when_over(self._closing)
                await self._open_session(timeout)
        finally:
            self._door.release()

    async def _open_session(self, timeout: float | None) -> None:
        conversation = Conversation(self._reactor, self._policy.request, self._policy.heartbeat)
        protocol = await self._connector.connect(conversation, timeout)
        try:
            conversation.attach(protocol, self._lost)
        except CameraLost:
            await protocol.close()
            raise
        self._conversation = conversation
        self.sessions += 1

    async def _log_in(self) -> None:
        if self._conversation is None and self._arriving is None:
            raise CameraLost("there is no session to log in to: connect first")
        try:
            await self._login()
        except CameraLost:
            await self._ready()

    async def _login(self) -> None:
        conversation = self._conversation
        if conversation is None:
            raise CameraLost("there is no session to log in to")
        await conversation.log_in(Login(self._wall_time(), self._user, self._password))
        self._wanted = True
        self.log.info("logged in to {target}", target=str(self.target))

    def _wall_time(self) -> int:
        """The camera's local time, counted as if it were UTC ("Times are local")."""
        local = datetime.fromtimestamp(self._wall_clock(), UTC).astimezone(self._zone)
        return int(local.replace(tzinfo=UTC).timestamp())

    def _lost(self, why: CameraLost) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None and conversation.protocol is not None:
            # No CLOSE: it might put the camera to sleep. The new session replaces the old.
            conversation.protocol.drop()
            self._closing = conversation.protocol.close()
        self.log.warn("{why}", why=str(why))
        if self._wanted and self._arriving is None:
            self._arrive()

    def _ready(self) -> Deferred[Conversation]:
        """A session that is logged in; coming back if need be."""
        conversation = self._conversation
        if conversation is not None and self._arriving is None:
            return succeed(conversation)
        if self._closed:
            return fail(CameraLost("the camera was closed: connect first"))
        waiting: Deferred[Conversation] = Deferred()
        self._waiting.append(waiting)
        if self._arriving is None:
            self._arrive()
        return waiting

    def _arrive(self) -> None:
        self._arriving = self._attempt(self._come_back())
        self._arriving.addBoth(self._arrived)

    async def _come_back(self) -> None:
        for tries_left in reversed(range(TRIES)):
            try:
                await self._connect(None)
                await self._login()
                return
            except CameraLost:
                if not tries_left:
                    raise
            except TrailcamError:
                await self._hang_up()  # a camera that is of no use shall not stay awake
                raise

    def _arrived(self, result: Failure | None) -> None:
        self._arriving = None
        waiting, self._waiting = self._waiting, []
        if isinstance(result, Failure):
            self._wanted = False
            self.log.debug("not back: {why}", why=result.getErrorMessage())
        for deferred in waiting:
            if deferred.called:
                continue
            if isinstance(result, Failure):
                deferred.errback(result)
            elif self._conversation is not None:
                deferred.callback(self._conversation)
            else:
                deferred.errback(CameraLost("the camera was lost again"))

    async def _ask(self, command: Command[Reply]) -> Reply:
        """Ask for what changes nothing: again, if the session is lost meanwhile."""
        for tries_left in reversed(range(TRIES)):
            conversation = await self._ready()
            try:
                return await conversation.request(command)
            except CameraLost:
                if not tries_left or not self._wanted:
                    raise
        raise AssertionError("unreachable")

    async def _send(self, command: Command[dict[str, Any]]) -> dict[str, Any] | None:
        conversation = await self._ready()
        if command.code == Heartbeat.cmd_id:
            conversation.beat()
            return None
        return await conversation.request(command)

    # -- media -------------------------------------------------------------

    async def _fetch(
        self, wanted: Sequence[tuple[MediaFile, Path]]
    ) -> dict[MediaFile, Downloaded | Failure]:
        photos = [(file, path) for file, path in wanted if file.is_photo]
        if not photos:
            ((file, path),) = wanted
            return {file: await _outcome(self._fetch_video(file, path))}
        return await self._locks[FILES].run(
            lambda: Deferred.fromCoroutine(self._fetch_photos(dict(photos)))
        )

    async def _fetch_photos(
        self, paths: dict[MediaFile, Path]
    ) -> dict[MediaFile, Downloaded | Failure]:
        conversation = await self._ready()
        flow = self._flow(conversation, FILES)
        sinks: dict[MediaFile, FileSink] = {}

        def open_sink(file: MediaFile) -> FileSink:
            sinks[file] = FileSink(paths[file], self._worker, flow)
            return sinks[file]

        receiver = PhotoReceiver(open_sink)
        arrivals = {
            file: conversation.watch(receiver.expect(file), FILES).addCallback(FileSink.finish)
            for file in paths
        }
        conversation.hear(FILES, receiver.handle)
        everything = DeferredList(list(arrivals.values()), consumeErrors=True)
        outcomes: dict[MediaFile, Downloaded | Failure] = {}
        try:
            await conversation.request(Download(list(paths)))
            results = await everything
            for _, result in results:
                if isinstance(result, Failure) and result.check(CancelledError):
                    result.raiseException()
            outcomes = {file: result for file, (_, result) in zip(paths, results, strict=True)}
        finally:
            conversation.hear(FILES, None)
            for arrival in arrivals.values():
                arrival.cancel()
            # Nothing is left of what did not come whole.
            whole = {file for file in outcomes if isinstance(outcomes[file], Downloaded)}
            await DeferredList([sinks[file].abort() for file in sinks.keys() - whole])
        return outcomes

    async def _fetch_video(self, file: MediaFile, path: Path) -> Downloaded:
        lock = self._locks[PLAYBACK]
        await lock.acquire()
        try:
            conversation = await self._ready()
            sink = MovieSink(path, self._worker, self._flow(conversation, PLAYBACK))
            try:
                await self._play(conversation, file, sink)
                return await sink.finish()
            except BaseException:
                await sink.abort()
                raise
        finally:
            lock.release()

    async def _play(self, conversation: Conversation, file: MediaFile, sink: MovieSink) -> None:
        self._plays = self._plays % 0xFFFF + 1
        receiver = PlaybackReceiver(self._reactor, file, self._plays, sink)
        done = conversation.watch(receiver.done, PLAYBACK)
        conversation.hear(PLAYBACK, receiver.handle)
        try:
            receiver.begin(await conversation.request(Play(file, self._plays)))
            await done
        finally:
            done.addErrback(lambda _: None)
            done.cancel()
            conversation.hear(PLAYBACK, None)
            # Nobody waits for the answer: frames that still come carry this playback's number.
            conversation.request(StopPlaying()).addErrback(lambda _: None)

    async def _thumbnails(self, files: list[MediaFile]) -> dict[MediaFile, bytes]:
        lock = self._locks[THUMBNAILS]
        await lock.acquire()
        try:
            received: dict[MediaFile, bytes] = {}
            for start in range(0, len(files), PAGE_SIZE):
                received |= await self._thumbnail_page(files[start : start + PAGE_SIZE])
            return received
        finally:
            lock.release()

    async def _thumbnail_page(self, files: list[MediaFile]) -> dict[MediaFile, bytes]:
        conversation = await self._ready()
        receiver = ThumbnailReceiver(files)
        conversation.hear(THUMBNAILS, receiver.handle)
        done = conversation.watch(receiver.done, THUMBNAILS)
        try:
            await conversation.request(Thumbnails(files))
            return await done
        finally:
            done.addErrback(lambda _: None)
            done.cancel()
            conversation.hear(THUMBNAILS, None)

    async def _live(self) -> LiveFrames:
        conversation = await self._ready()
        if self._view is not None:
            self._view.close()  # there is one live view at a time, and this is the next
        over: Deferred[None] = Deferred(lambda _: None)

        def stop() -> Deferred[Any]:
            self._view = None
            if not over.called:
                over.callback(None)
            conversation.hear(LIVE, None)
            return conversation.request(StopLive()).addErrback(lambda _: None)

        frames = self._view = LiveFrames(stop)
        conversation.hear(LIVE, frames.handle)
        conversation.watch(over, LIVE).addErrback(frames.lost)
        try:
            await conversation.request(StartLive())
        except BaseException:
            frames.close()
            raise
        return frames

    def _flow(self, conversation: Conversation, channel: int) -> Flow:
        return Flow(
            lambda: conversation.pause(channel),
            lambda: conversation.resume(channel),
            lambda count: self.progress(count),
        )


def _when_over(work: Deferred[None]) -> Deferred[None]:
    """Fires when C{work} has ended, however; to cancel it does nothing to C{work}."""
    waiting: Deferred[None] = Deferred()

    def over(result: Failure | None) -> Failure | None:
        waiting.callback(None)
        return result

    work.addBoth(over)
    return waiting


async def _outcome(work: Awaitable[Downloaded]) -> Downloaded | Failure:
    """What became of it: a damaged transfer is one of the things that may."""
    try:
        return await work
    except (DamagedTransfer, CommandFailed):
        return Failure()


class MediaListing:
    """
    An asynchronous iteration over all that is on the card, page by page.

    Some cameras repeat pages, and pictures taken meanwhile shift them: each
    file comes once, and when a page brings nothing new the list is over.

    @ivar refused: how many entries made no sense.
    """

    #: 65535 numbers in each of 900 directories would be more; no card holds so many.
    MOST_PAGES = 20_000

    def __init__(self, ask: Callable[[int], Awaitable[Any]]) -> None:
        self._ask = ask
        self._page = 0
        self._files: list[MediaFile] = []
        self._seen: set[MediaFile] = set()
        self._more = True
        self.refused = 0

    def __aiter__(self) -> MediaListing:
        return self

    async def __anext__(self) -> MediaFile:
        while not self._files and self._more:
            await self._next_page()
        if not self._files:
            raise StopAsyncIteration
        return self._files.pop(0)

    def close(self) -> None:
        """Ask for no more pages."""
        self._more = False
        self._files.clear()

    async def _next_page(self) -> None:
        page = await self._ask(self._page)
        self._page += 1
        self.refused += page.refused
        new = [file for file in dict.fromkeys(page.files) if file not in self._seen]
        self._seen.update(new)
        self._files = new
        self._more = bool(new) and page.count >= PAGE_SIZE and self._page < self.MOST_PAGES
