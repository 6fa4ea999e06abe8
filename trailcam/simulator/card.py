"""The memory card of the simulated camera: what is on it, drawn only when somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from random import Random

from trailcam.commands import MediaFile
from trailcam.simulator.pictures import Shot, photo, thumbnail, visit
from trailcam.simulator.recording import Recording, record

__all__ = ["Card"]

#: A card of 32 GB, as cameras count it.
TOTAL_MB = 30196
#: Numbers go from 1 to this; then the next directory begins.
LAST_NUMBER = 9999
FIRST_DIRECTORY = 100
#: Pictures less than so many seconds apart show the same visitor.
SAME_VISIT = 60
#: How busy the animals are in each hour of the day; 1 at most.
_BUSY = (0.5, 0.4, 0.4, 0.5, 0.8, 1.0, 1.0, 0.7, 0.4, 0.2, 0.15, 0.1,
         0.1, 0.1, 0.15, 0.2, 0.4, 0.7, 1.0, 1.0, 0.9, 0.7, 0.6, 0.5)  # fmt: skip


@dataclass(frozen=True)
class _Taken:
    """
    How a picture came about.

    @ivar wall_clock: when, whether the list says so or not.
    @ivar visit: the number of the visit.
    @ivar place_in_visit: from 0 on.
    """

    wall_clock: int
    visit: int
    place_in_visit: int


class Card:
    """
    What a camera has taken, and takes.

    All of it follows from the seed: the same card has the same list and the
    same pictures, byte by byte.

    @ivar total_mb: the size of the card.
    """

    total_mb = TOTAL_MB

    def __init__(
        self,
        photos: int,
        videos: int,
        *,
        newest: int,
        seed: int = 0,
        camera: str = "KJK230",
        without_ids: bool = False,
    ) -> None:
        """
        @param newest: the wall clock of the newest, in seconds counted as if they were UTC.
        @param camera: the model, for stamps and EXIF.
        @param without_ids: leave out C{mediaId} and C{mediaTime}, as some cameras do.
        """
        self._seed = seed
        self._camera = camera
        self._without_ids = without_ids
        self._rng = Random(seed)
        self._next = 0
        self._visits = 0
        self._last: _Taken | None = None
        self._files: dict[tuple[int, int, int], MediaFile] = {}
        # What was deleted stays here: it may be on its way still.
        self._taken: dict[tuple[int, int, int], _Taken] = {}
        total = photos + videos
        video = set(self._rng.sample(range(total), videos))
        for index, wall_clock in enumerate(_times(self._rng, total, newest)):
            self.add(int(index in video), wall_clock)

    @property
    def files(self) -> tuple[MediaFile, ...]:
        """Everything, highest number first; their times are not quite in order."""
        return tuple(reversed(self._files.values()))

    @property
    def free_mb(self) -> int:
        """What is left, counting half a megabyte for a photo and three for a video."""
        photos = sum(file.is_photo for file in self._files.values())
        used = photos / 2 + (len(self._files) - photos) * 3
        return max(0, self.total_mb - 3 - round(used))

    def find(self, file_type: int, directory: int, number: int) -> MediaFile | None:
        """The one that is called so, if there is one."""
        return self._files.get((file_type, directory, number))

    def add(self, file_type: int, wall_clock: int) -> MediaFile:
        """
        Take another one.

        @param file_type: 0 for a photo, 1 for a video.
        """
        directory, number = divmod(self._next, LAST_NUMBER)
        self._next += 1
        file = MediaFile(
            file_type,
            FIRST_DIRECTORY + directory,
            number + 1,
            self._rng.randrange(3000, 5001, 200) if file_type else 0,
            self._rng.getrandbits(32),
            wall_clock,
        )
        if self._without_ids:
            file = replace(file, media_id=None, media_time=None)
        self._files[file.key] = file
        self._taken[file.key] = self._last = self._taken_at(wall_clock)
        return file

    def delete(self, file: MediaFile) -> None:
        """Delete one; one that is not there is deleted already."""
        self._files.pop(file.key, None)

    def clear(self) -> None:
        """Format the card: numbers begin with 1 again."""
        self._files.clear()
        self._next = 0

    def photo(self, file: MediaFile) -> bytes:
        """
        The whole photo, a JPEG.

        @raise LookupError: when this card never had it.
        """
        return photo(self._shot(file))

    def thumbnail(self, file: MediaFile) -> bytes:
        """
        A small picture of a photo or video, a JPEG.

        @raise LookupError: when this card never had it.
        """
        return thumbnail(self._shot(file))

    def recording(self, file: MediaFile) -> Recording:
        """
        The video.

        @raise LookupError: when this card never had it.
        """
        return record(self._shot(file), file.duration_ms)

    def _taken_at(self, wall_clock: int) -> _Taken:
        last = self._last
        if last and 0 <= wall_clock - last.wall_clock < SAME_VISIT:
            return _Taken(wall_clock, last.visit, last.place_in_visit + 1)
        self._visits += 1
        return _Taken(wall_clock, self._visits, 0)

    def _shot(self, file: MediaFile) -> Shot:
        taken = self._taken[file.key]
        shot = Shot(self._seed, taken.wall_clock, self._camera)
        names = (f"{self._seed}/{taken.visit}/{again}" for again in count())
        seconds = 0.7 * taken.place_in_visit if file.is_photo else -1.0
        visitors = (visit(name, shot.night, seconds) for name in names)
        # A photo may be empty; in a video somebody comes.
        animals = next(found for found in visitors if found or file.is_photo)
        return replace(shot, animals=animals)


def _times(rng: Random, total: int, newest: int) -> list[int]:
    """
    When pictures were taken, in the order of their numbers: in bursts, most at dawn and
    dusk. Some bursts changed places, for the times in real lists are not in order either.
    """
    bursts: list[list[int]] = []
    for end in _visits(rng, newest):
        if total <= 0:
            break
        burst = [end]
        while len(burst) < min(total, 6) and rng.random() < 0.6:
            burst.append(burst[-1] - rng.randint(8, 40))
        total -= len(burst)
        bursts.append(burst[::-1])
    for index in range(1, len(bursts) - 1):
        if rng.random() < 0.12:
            bursts[index : index + 2] = bursts[index + 1], bursts[index]
    return [time for burst in reversed(bursts) for time in burst]


def _visits(rng: Random, newest: int) -> Iterator[int]:
    """When visitors left, from the newest back, for ever."""
    time = newest
    while True:
        yield time
        time -= 300
        while True:
            time -= int(rng.expovariate(1 / 4000))
            if rng.random() < _BUSY[time // 3600 % 24]:
                break
