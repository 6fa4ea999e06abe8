"""What is sent as it is: pictures, videos, thumbnails, and our own style and scripts."""

from __future__ import annotations

import gzip
import os
import stat
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from trailcam.errors import LibraryError, UnknownMedium
from trailcam.library.files import explain
from trailcam.web.conditions import FileVersion, Span, Unsatisfiable, is_known, span_of
from trailcam.web.context import Context, medium_id
from trailcam.web.http import Answer, Asked, Pipe, Refused
from trailcam.web.routes import Route
from trailcam.web.templating import asset_version
from trailcam.worker import ThreadWorker

__all__ = ["file_routes"]

#: A picture never changes; that it is asked for by its number and its hash makes that sure.
_FOR_EVER = "private, max-age=31536000, immutable"
#: Whoever asks by the number alone asks again.
_ASK_AGAIN = "private, no-cache"
#: So many bytes are read at once.
_PIECE = 256 << 10
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


class Shown(NamedTuple):
    """
    A file of the library that is to be sent.

    @ivar kind: its content type.
    @ivar sha256: of the picture, in hexadecimal.
    @ivar download: the name to save it by; C{None}: it is to be shown.
    """

    path: Path
    kind: str
    sha256: str
    download: str | None = None


def file_routes(context: Context) -> list[Route]:
    """The paths of files."""
    own = _Files(context)
    return [
        Route("GET", "/api/v1/media/{id:id}/file", own.medium),
        Route("GET", "/api/v1/media/{id:id}/thumbnail", own.thumbnail),
        Route("GET", "/static/{file:file}", own.static, public=True),
    ]


class _Files:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def medium(self, asked: Asked) -> Answer | None:
        """A picture or video, also in parts: browsers play and seek videos with that."""
        download = asked.flag("download")
        medium = await self._context.medium(asked)
        kind = "image/jpeg" if medium.file.is_photo else "video/mp4"
        name = medium.path.name if download else None
        return await self._send(asked, Shown(medium.path, kind, medium.sha256, name))

    async def thumbnail(self, asked: Asked) -> Answer | None:
        """A small picture; 404 where there can be none."""
        library = await self._context.open_library()
        path = await library.thumbnail(medium_id(asked))
        if path is None:
            raise UnknownMedium("of this one there can be no thumbnail")
        return await self._send(asked, Shown(path, "image/jpeg", path.stem))

    async def static(self, asked: Asked) -> Answer | None:
        """A file that is part of trailcam."""
        name = asked.parts["file"]
        kind = _KINDS.get(Path(name).suffix)
        found = files("trailcam.web").joinpath("static", name)
        if kind is None or not found.is_file():
            raise Refused(404, "there is no such file")
        version = asset_version(name)
        fresh = asked.query("v") == version
        packed = "gzip" in (asked.header("accept-encoding") or "")
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable" if fresh else "no-cache",
            "ETag": f'"{version}-gzip"' if packed else f'"{version}"',
            "Vary": "Accept-Encoding",
            **({"Content-Encoding": "gzip"} if packed else {}),
        }
        if is_known(FileVersion(headers["ETag"], 0), asked.header("if-none-match"), None):
            return Answer(status=304, headers=headers)
        return Answer(_packed(name) if packed else found.read_bytes(), 200, kind, headers)

    async def _send(self, asked: Asked, shown: Shown) -> Answer | None:
        # Of its own: a slow disk keeps nobody else waiting. And it works in order, so that a file
        # is closed only when nobody reads it any more.
        worker = ThreadWorker(self._context.reactor)
        file = _OpenFile(shown.path, self._context.library.library.path)
        try:
            version = await worker.call(file.open)
            return await _tell(asked, shown, file, version, worker)
        finally:
            worker.call(file.close)


class _OpenFile:
    """
    A file of the library; it blocks.

    What people put into the place of a picture is opened only if it is a file, in the library.

    @ivar size: in bytes, once it is open.
    """

    def __init__(self, path: Path, root: Path) -> None:
        self.size = 0
        self._path = path
        self._root = root
        self._descriptor: int | None = None

    def open(self) -> tuple[int, int]:
        """
        Open it.

        @return: size in bytes, and when it was changed, in nanoseconds.
        @raise UnknownMedium: when it is not there, or something else is.
        @raise LibraryError: when the disk fails.
        """
        try:
            real = Path(os.path.realpath(self._path))
            if not real.is_relative_to(os.path.realpath(self._root)):
                raise UnknownMedium(f"{self._path.name} is not in the library, but elsewhere")
            # Without waiting: what is a pipe by now would keep us for ever.
            self._descriptor = os.open(
                real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            )
            status = os.fstat(self._descriptor)
        except (FileNotFoundError, NotADirectoryError):
            raise UnknownMedium(f"{self._path.name} is not there any more") from None
        except OSError as error:
            raise explain(self._root, error) from error
        if not stat.S_ISREG(status.st_mode):
            raise UnknownMedium(f"{self._path.name} is no file any more")
        self.size = status.st_size
        return status.st_size, status.st_mtime_ns

    def read(self, start: int, length: int) -> bytes:
        """
        Read some of it.

        @raise LibraryError: when the disk fails, or the file has become shorter.
        """
        assert self._descriptor is not None
        try:
            data = os.pread(self._descriptor, length, start)
        except OSError as error:
            raise explain(self._root, error) from error
        if not data and length:
            raise LibraryError(f"{self._path.name} has become shorter while it was sent")
        return data

    def close(self) -> None:
        """Let go of it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


@cache
def _packed(name: str) -> bytes:
    """A file of C{static/} for who is far away; nothing secret stands in it."""
    return gzip.compress(files("trailcam.web").joinpath("static", name).read_bytes(), mtime=0)


async def _tell(
    asked: Asked, shown: Shown, file: _OpenFile, version: tuple[int, int], worker: ThreadWorker
) -> Answer | None:
    """The answer, as far as it is small; C{None} once what is large was sent."""
    size, changed = version
    known = FileVersion(f'"{shown.sha256[:16]}-{changed:x}-{size:x}"', changed // 10**9)
    headers = _headers(asked, shown, known)
    if is_known(known, asked.header("if-none-match"), asked.header("if-modified-since")):
        return Answer(status=304, headers=headers)
    is_head = asked.raw.method == b"HEAD"  # for which ranges mean nothing
    try:
        span = span_of(
            known, size, None if is_head else asked.header("range"), asked.header("if-range")
        )
    except Unsatisfiable:
        raise Refused(
            416, f"there are only {size} bytes of it", {"Content-Range": f"bytes */{size}"}
        ) from None
    if span.partial:
        last = span.start + span.length - 1
        headers["Content-Range"] = f"bytes {span.start}-{last}/{size}"
    status = 206 if span.partial else 200
    if span.length <= _PIECE and not is_head:
        return Answer(await worker.call(_read_all, file, span), status, shown.kind, headers)
    asked.raw.setResponseCode(status)
    headers["Content-Length"] = str(span.length)
    pipe = Pipe(asked, shown.kind, headers)
    if not is_head:
        await _pour(pipe, file, span, worker)
    pipe.finish()
    return None


def _headers(asked: Asked, shown: Shown, version: FileVersion) -> dict[str, str]:
    known = asked.query("v")
    lasting = known is not None and len(known) >= 8 and shown.sha256.startswith(known)
    headers = {
        "Cache-Control": _FOR_EVER if lasting else _ASK_AGAIN,
        "ETag": version.tag,
        "Last-Modified": version.date,
        "Accept-Ranges": "bytes",
    }
    if shown.download is not None:
        name = quote(shown.download, safe="", errors="replace")
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
    return headers


def _read_all(file: _OpenFile, span: Span) -> bytes:
    data = b""
    while len(data) < span.length:
        data += file.read(span.start + len(data), span.length - len(data))
    return data


async def _pour(pipe: Pipe, file: _OpenFile, span: Span, worker: ThreadWorker) -> None:
    """Send it bit by bit; an error breaks off what was begun."""
    start, left = span.start, span.length
    while left and not pipe.gone:
        data = await worker.call(file.read, start, min(_PIECE, left))
        start, left = start + len(data), left - len(data)
        await pipe.write(data)
