"""Small pictures of the big ones."""

from __future__ import annotations

import errno
import io
import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import av
from PIL import Image
from twisted.internet.defer import Deferred, gatherResults

from tests.test_library import PHOTO, VIDEO, LibraryCase
from tests.test_library_visits import NOW
from trailcam import shrinking
from trailcam.commands import MediaFile
from trailcam.errors import LibraryError
from trailcam.library import thumbnails

RED, BLUE = (200, 30, 30), (30, 30, 200)


def picture(width: int, height: int, orientation: int = 1, mode: str = "RGB") -> bytes:
    """A JPEG whose left half is red and whose right half is blue."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "where it was taken"
    stream = io.BytesIO()
    image.convert(mode).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


def film(width: int, height: int) -> bytes:
    """An MP4 of three frames, the first of which is red."""
    stream = io.BytesIO()
    container: Any
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=5)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for colour in (RED, BLUE, BLUE):
            frame = av.VideoFrame.from_image(Image.new("RGB", (width, height), colour))
            container.mux(video.encode(frame))
        container.mux(video.encode())
    return stream.getvalue()


class ThumbnailTests(LibraryCase):
    """What is shown, and how often it is made."""

    async def look(self, file: MediaFile, data: bytes) -> Path | None:
        """The thumbnail of a file that has just come home."""
        await self.fetch(file, data)
        media = (await self.library.browse()).media
        (id,) = [medium.id for medium in media if medium.file == file]
        return await self.library.thumbnail(id)

    def assertLooks(self, path: Path | None, size: tuple[int, int], *corners: Any) -> None:
        """It is a whole JPEG of that size, with those colours top left and bottom right."""
        assert path is not None
        with Image.open(path) as image:
            image.load()
            self.assertEqual((image.format, image.mode, image.size), ("JPEG", "RGB", size))
            self.assertEqual(dict(image.getexif()), {})
            places = ((5, 5), (size[0] - 6, size[1] - 6))
            for place, colour in zip(places, corners, strict=True):
                found: Any = image.getpixel(place)
                self.assertLess(max(abs(a - b) for a, b in zip(found, colour, strict=True)), 40)

    async def test_photo(self) -> None:
        """At most 480 pixels wide and high, upright, without EXIF, in a folder of few."""
        await self.library.open()
        path = await self.look(PHOTO, picture(2000, 1500))
        self.assertLooks(path, (480, 360), RED, BLUE)
        (row,) = await self.library.files()
        where = self.path / ".trailcam" / "thumbnails" / row.sha256[:2] / f"{row.sha256}.jpg"
        self.assertEqual(path, where)
        turned = await self.look(MediaFile(0, 100, 1), picture(2000, 1500, 6))
        self.assertLooks(turned, (360, 480), RED, BLUE)
        small = await self.look(MediaFile(0, 100, 2), picture(64, 32, 3, "L"))
        assert small is not None
        with Image.open(small) as image:
            self.assertEqual(image.size, (64, 32))

    async def test_video(self) -> None:
        """The first frame of a video."""
        await self.library.open()
        self.assertLooks(await self.look(VIDEO, film(960, 544)), (480, 272), RED, RED)

    async def test_once(self) -> None:
        """It is made once, one at a time, not in the reactor's thread; then it is there."""
        await self.library.open()
        made: list[int] = []
        busy = threading.Lock()
        shrink = thumbnails.shrink

        def counting(file: BinaryIO, is_photo: bool, width: int) -> bytes | None:
            self.assertNotEqual(threading.get_ident(), reactor_thread)
            self.assertTrue(busy.acquire(blocking=False))
            try:
                made.append(len(made))
                return shrink(file, is_photo, width)
            finally:
                busy.release()

        reactor_thread = threading.get_ident()
        self.patch(thumbnails, "shrink", counting)
        for number in range(4):
            await self.fetch(MediaFile(0, 100, number), picture(40 + number, 30))
        ids = [medium.id for medium in (await self.library.browse()).media]
        paths = await gatherResults([self.library.thumbnail(id) for id in ids * 3])
        self.assertEqual(len(made), 4)
        self.assertEqual(len(set(paths)), 4)
        await self.reopen()
        self.assertEqual(await self.library.thumbnail(ids[0]), paths[0])
        self.assertEqual(len(made), 4)
        self.assertEqual(list(self.path.rglob("*.part")), [])

    async def test_damaged(self) -> None:
        """What cannot be shown gives nothing, and is not tried again, in another run either."""
        await self.library.open()
        whole, video = picture(900, 900), film(64, 64)
        bad = (
            (PHOTO, whole[: len(whole) // 2]),
            (MediaFile(0, 100, 1), b"no picture"),
            (VIDEO, video[: len(video) // 2]),
            (MediaFile(1, 100, 2), bytes(5000)),
        )
        for file, data in bad:
            self.assertIsNone(await self.look(file, data), file)
        await self.reopen()

        def never(file: BinaryIO, is_photo: bool, width: int) -> bytes | None:
            raise AssertionError("it was tried again")

        self.patch(thumbnails, "shrink", never)
        for medium in (await self.library.browse()).media:
            self.assertIsNone(await self.library.thumbnail(medium.id))

    async def test_too_large(self) -> None:
        """What would take too much memory is refused before it is read, photo and video alike."""
        await self.library.open()
        self.patch(shrinking, "LARGEST", 1000)
        loaded: list[object] = []
        self.patch(Image.Image, "thumbnail", lambda *arguments: loaded.append(arguments))
        self.assertIsNone(await self.look(PHOTO, picture(50, 30)))
        self.assertIsNone(await self.look(VIDEO, film(64, 64)))
        self.assertEqual(loaded, [])

    async def test_disk_fails(self) -> None:
        """An error of the disk says nothing of the picture: it is tried again."""
        await self.library.open()
        await self.fetch(PHOTO, picture(50, 30))
        (medium,) = (await self.library.browse()).media

        def broken(file: BinaryIO, width: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        patch = self.patch(shrinking, "_photo", broken)
        await self.assertTrouble(self.library.thumbnail(medium.id), "input/output error")
        patch.restore()
        self.assertIsNotNone(await self.library.thumbnail(medium.id))

    async def test_no_file_any_more(self) -> None:
        """A pipe that somebody puts in its place keeps nobody waiting."""
        await self.library.open()
        path = (await self.fetch(PHOTO, picture(50, 30))).path
        (medium,) = (await self.library.browse()).media
        path.unlink()
        os.mkfifo(path)
        await self.assertTrouble(self.library.thumbnail(medium.id), "no file any more")

    async def test_removed(self) -> None:
        """What is in the trash can be looked at; its thumbnail goes when it goes."""
        await self.library.open()
        path = await self.look(PHOTO, picture(50, 30))
        assert path is not None
        (medium,) = (await self.library.browse()).media
        await self.library.remove(medium.id)
        path.unlink()
        self.assertEqual(await self.library.thumbnail(medium.id), path)
        self.assertEqual(await self.library.purge(NOW + timedelta(days=36500)), 1)
        self.assertFalse(path.exists())

    async def test_closing(self) -> None:
        """Closing does not wait for pictures that nobody will see."""
        await self.library.open()
        for number in range(3):
            await self.fetch(MediaFile(0, 100, number), picture(40 + number, 30))
        ids = [medium.id for medium in (await self.library.browse()).media]
        looking: list[Deferred[Any]] = [self.library.thumbnail(id) for id in ids]
        looking[0].addErrback(lambda failure: failure.trap(LibraryError))
        closing = self.library.close()
        for each in looking[1:]:
            await self.assertFailure(each, LibraryError)
        await closing
        self.assertFalse(os.path.exists(self.path / ".trailcam" / "index.sqlite-wal"))
