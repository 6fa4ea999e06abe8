"""
Emptying the camera's card of what is safe at home: one file at a time, never by formatting.

A file on the card is called by its type, directory and number only. So what is deleted must
have been seen on the card under that name, by the list, in this very session; and when the
camera was lost, the list is read again, for another card may lie in it by then.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from trailcam.client import Camera
from trailcam.commands import MediaFile
from trailcam.errors import CameraLost, CommandFailed, DecodeError
from trailcam.library.library import Library
from trailcam.library.records import Source, StoredFile, normal

__all__ = ["Clearing", "safe_copies", "unambiguous"]

#: The camera may be lost so often in a row without a single file having been deleted.
LOSSES = 5


def unambiguous(listed: Iterable[MediaFile]) -> list[MediaFile]:
    """Those that no other of the list shares its type, directory and number with."""
    listed = list(listed)
    names = Counter(file.key for file in listed)
    return [file for file in listed if names[file.key] == 1]


async def safe_copies(
    library: Library, source: Source, files: Sequence[MediaFile]
) -> dict[MediaFile, StoredFile]:
    """
    Of which files a whole copy is at home, beyond doubt.

    A file whose id or time the camera does not tell may be another than the one that was once
    fetched under its number, and so may all of a camera that does not tell its own id.

    @raise trailcam.errors.LibraryError: when the library cannot be used.
    """
    if not source.device_id:
        return {}
    told = [file for file in files if None not in (normal(file).media_id, normal(file).media_time)]
    return await library.copies(source, told)


class Clearing:
    """Deletes files from a card, and marks their copies at home."""

    def __init__(
        self,
        camera: Camera,
        library: Library | None,
        device_id: str,
        session: int,
        *,
        deleted: Callable[[MediaFile], None],
        failed: Callable[[MediaFile, str], None],
    ) -> None:
        """
        @param camera: logged in.
        @param library: open; C{None} where there is nothing to mark.
        @param device_id: which camera it must be.
        @param session: the one in which the files were listed.
        @param deleted: is told of each file that has gone.
        @param failed: is told of each that stays, and why.
        """
        self._camera = camera
        self._library = library
        self._device_id = device_id
        self._session = session
        self._deleted = deleted
        self._failed = failed
        self._copies: Mapping[MediaFile, StoredFile | None] = {}
        self._queue: deque[MediaFile] = deque()
        self._doubtful: dict[MediaFile, str] = {}
        self._losses = 0

    async def run(self, copies: Mapping[MediaFile, StoredFile | None]) -> None:
        """
        Delete files.

        @param copies: what to delete, and the copy at home, where there is one.
        @raise CameraLost: when the camera, or this card, is gone; so does
            L{NoCameraAnswered <trailcam.errors.NoCameraAnswered>}.
        @raise trailcam.errors.LibraryError: when what was deleted cannot be marked.
        """
        self._copies, self._queue = copies, deque(copies)
        while self._queue:
            await self._delete(self._queue.popleft())
        if self._doubtful:
            await self._look_again()
        for file, why in self._doubtful.items():
            self._failed(file, why)

    async def _delete(self, file: MediaFile) -> None:
        if await self._has_lost_its_copy(file):
            self._failed(file, "its copy at home has gone meanwhile")
            return
        try:
            await self._camera.delete(file, self._session)
        except CameraLost as error:
            self._losses += 1
            if self._losses > LOSSES:
                raise
            if self._camera.sessions == self._session:
                self._doubtful[file] = str(error)  # it was asked for, and may have gone
            if file in await self._look_again():
                self._doubtful.pop(file, None)
                self._queue.appendleft(file)
        except (CommandFailed, DecodeError) as error:
            self._doubtful[file] = str(error)  # it may have gone before
        else:
            self._losses = 0
            await self._gone(file)

    async def _has_lost_its_copy(self, file: MediaFile) -> bool:
        """Whether what was at home when it was looked at, which may be minutes ago, is no more."""
        copy = self._copies[file]
        if copy is None or self._library is None:
            return False
        now = (await self._library.copies(Source(self._device_id), [file])).get(file)
        return now is None or now.sha256 != copy.sha256

    async def _look_again(self) -> set[MediaFile]:
        """See what is on the card now, which decides what is in doubt."""
        information = await self._camera.info()
        if information.device_id != self._device_id:
            raise CameraLost("another camera answers now")
        self._session = self._camera.sessions
        listing = self._camera.media()
        there = {file async for file in listing}
        if not (listing.repeated or listing.refused):  # else it may have kept some from us
            for file in self._doubtful.keys() - there:
                del self._doubtful[file]
                await self._gone(file)
        self._queue = deque(file for file in self._queue if file in there)
        return there

    async def _gone(self, file: MediaFile) -> None:
        copy = self._copies[file]
        if copy is not None and self._library is not None:
            await self._library.mark_deleted(copy)
        self._deleted(file)
