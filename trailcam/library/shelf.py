"""
What L{trailcam.library.library.Library} has done with the disk: blocking, one call at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from trailcam.commands import MediaFile
from trailcam.library.exif import time_taken
from trailcam.library.files import (
    FolderLock,
    explained,
    make_folder,
    place,
    probe,
    sha256_of,
)
from trailcam.library.folders import Claim, Found, Survey, claim, look_around, remove
from trailcam.library.index import index_path, prepare
from trailcam.library.names import MediaName, day_folder, file_name, part_name
from trailcam.library.records import Source, StoredFile
from trailcam.library.times import Moment

__all__ = ["Arrival", "Shelf"]

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


@dataclass(frozen=True)
class Arrival:
    """
    A file that has come whole.

    @ivar source: the camera.
    @ivar folder: the camera's folder, as L{Shelf.claim} told.
    @ivar file: as L{trailcam.library.records.normal} leaves it.
    @ivar part: where its bytes are.
    @ivar size: how many they are.
    @ivar sha256: of them, in hexadecimal.
    @ivar now: the time, aware.
    """

    source: Source
    folder: str
    file: MediaFile
    part: Path
    size: int
    sha256: str
    now: datetime


class Shelf:
    """
    The library's folders, under its lock. Every method raises
    L{trailcam.errors.LibraryError} when the disk fails it.

    @ivar root: the library; absolute.
    @ivar index_path: where the index is.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index_path = index_path(root)
        self._lock = FolderLock(root)
        self._serial = count(1)

    def acquire(self, now: datetime) -> Path | None:
        """
        Try the disk, take the lock, and prepare the index.

        @return: where a damaged index was put.
        """
        with explained(self.root):
            probe(self.root)
            self._lock.acquire()
            return prepare(self.index_path, now)

    def check(self) -> None:
        """See whether the library is still the one that was opened."""
        with explained(self.root):
            self._lock.check()

    def release(self) -> None:
        """Let others have the library."""
        self._lock.release()

    def run(
        self,
        function: Callable[Concatenate[Path, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Do something else in the library's folder, which is C{function}'s first argument."""
        with explained(self.root):
            self._lock.check()
            return function(self.root, *args, **kwargs)

    def claim(self, source: Source) -> Claim:
        """The camera's folder, made if need be."""
        with explained(self.root):
            self._lock.check()
            return claim(self.root, source)

    def part_path(self, source: Source, folder: str, file: MediaFile) -> Path:
        """A C{.part} file's path, that was never given before; its folder is made."""
        with explained(self.root):
            self._lock.check()
            name = MediaName(folder, file, _taken(file.media_time, source))
            return self._day(name) / part_name(file_name(name), next(self._serial))

    def place(self, arrival: Arrival) -> StoredFile:
        """Give a file its name; without a time from the camera, by its EXIF."""
        file = arrival.file
        with explained(self.root):
            self._lock.check()
            seconds = file.media_time
            if seconds is None and file.is_photo:
                seconds = time_taken(arrival.part)
            name = MediaName(arrival.folder, file, _taken(seconds, arrival.source))
            path = place(arrival.part, self._day(name), name, arrival.size, arrival.sha256)
        return StoredFile(
            arrival.source.device_id,
            file,
            name.taken,
            path,
            arrival.size,
            arrival.sha256,
            arrival.now,
            camera=arrival.source.name,
        )

    def whole(self, batch: list[StoredFile]) -> list[StoredFile]:
        """Those that are still here as they were written down: size and SHA-256 are right."""
        with explained(self.root):
            self._lock.check()
            return [stored for stored in batch if _is_whole(stored)]

    def discard(self, part: Path) -> None:
        """Delete a C{.part} file."""
        with explained(self.root):
            part.unlink(missing_ok=True)

    def survey(self, known: set[str], clean: bool) -> Survey:
        """
        Compare the folders with the index.

        @param known: the index's paths.
        @param clean: delete what an interrupted run left.
        """
        with explained(self.root):
            self._lock.check()
            survey = look_around(self.root, known)
            if clean:
                remove(self.root, survey.leftovers)
            return survey

    def examine(self, batch: list[Found], now: datetime) -> tuple[list[StoredFile], list[str]]:
        """
        Read files, to write them into the index.

        @param now: the time, aware: nobody knows any more when they came home.
        @return: those that can be read, and what is wrong with the others.
        """
        stored, problems = [], []
        for found in batch:
            try:
                stored.append(self._examine(found, now))
            except OSError as error:
                problems.append(f"{found.path} cannot be read: {error.strerror}")
        return stored, problems

    def _examine(self, found: Found, now: datetime) -> StoredFile:
        path, name = self.root / found.path, found.name
        return StoredFile(
            found.source.device_id,
            name.file,
            name.taken,
            path,
            path.stat().st_size,
            sha256_of(path),
            now,
            camera=found.source.name,
        )

    def _day(self, name: MediaName) -> Path:
        return make_folder(make_folder(self.root / name.folder) / day_folder(name.taken))


def _is_whole(stored: StoredFile) -> bool:
    path = stored.path
    try:
        return path.stat().st_size == stored.size and sha256_of(path) == stored.sha256
    except OSError:
        return False


def _taken(seconds: int | None, source: Source) -> Moment | None:
    return None if seconds is None else Moment.from_seconds(seconds, source.zone)
