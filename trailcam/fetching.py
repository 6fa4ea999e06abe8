"""
Fetching media over a session: photos, videos, thumbnails and the live view.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from trailcam.commands import (
    PAGE_SIZE,
    Download,
    MediaFile,
    Play,
    StartLive,
    StopLive,
    StopPlaying,
    Thumbnails,
)
from trailcam.conversation import FILES, LIVE, PLAYBACK, THUMBNAILS, Conversation
from trailcam.errors import CommandFailed, DamagedTransfer
from trailcam.photos import PhotoReceiver, ThumbnailReceiver
from trailcam.playback import LiveFrames, PlaybackReceiver
from trailcam.sinks import Downloaded, FileSink, Flow, MovieSink
from trailcam.worker import Worker

__all__ = ["Fetcher", "Outcomes"]

Outcomes = dict[MediaFile, Downloaded | Failure]


class Fetcher:
    """
    Fetches media, one transfer of a kind at a time.

    @ivar progress: called with every number of bytes of media that arrive.
    """

    def __init__(
        self,
        clock: IReactorTime,
        worker: Worker,
        ready: Callable[[], Deferred[Conversation]],
    ) -> None:
        """
        @param worker: does what touches the disk.
        @param ready: gives a session that is logged in.
        """
        self.progress: Callable[[int], None] = lambda count: None
        self._clock = clock
        self._worker = worker
        self._ready = ready
        self._view: LiveFrames | None = None
        self._plays = 0
        self._locks = {channel: DeferredLock() for channel in (FILES, PLAYBACK, THUMBNAILS)}

    async def fetch(self, wanted: Sequence[tuple[MediaFile, Path]]) -> Outcomes:
        """Up to three photos, or one video. See L{trailcam.client.Camera.fetch}."""
        photos = [(file, path) for file, path in wanted if file.is_photo]
        if not photos:
            ((file, path),) = wanted
            return {file: await _outcome(self._fetch_video(file, path))}
        return await self._locks[FILES].run(
            lambda: Deferred.fromCoroutine(self._fetch_photos(dict(photos)))
        )

    async def _fetch_photos(self, paths: dict[MediaFile, Path]) -> Outcomes:
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
        outcomes: Outcomes = {}
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
        receiver = PlaybackReceiver(self._clock, file, self._plays, sink)
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

    async def thumbnails(self, files: list[MediaFile]) -> dict[MediaFile, bytes]:
        """Thumbnails of these, page by page."""
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

    async def live(self) -> LiveFrames:
        """Start the live view; an earlier one ends."""
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


async def _outcome(work: Awaitable[Downloaded]) -> Downloaded | Failure:
    """What became of it: a damaged transfer is one of the things that may."""
    try:
        return await work
    except (DamagedTransfer, CommandFailed):
        return Failure()
