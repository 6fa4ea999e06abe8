"""What is sent as it is: pictures, videos, thumbnails, and our own style and scripts."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from twisted.web.http import CACHED
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import File

from trailcam.errors import UnknownMedium
from trailcam.web.context import Context, medium_id
from trailcam.web.http import Answer, Asked, Refused
from trailcam.web.routes import Route
from trailcam.web.templating import asset_version

__all__ = ["file_routes"]

#: A picture never changes; that it is asked for by its number and its hash makes that sure.
_FOR_EVER = "private, max-age=31536000, immutable"
#: Whoever asks by the number alone asks again.
_ASK_AGAIN = "private, no-cache"
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
    ".json": "application/json",
}


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
        library = await self._context.open_library()
        medium = await library.medium(medium_id(asked))
        if medium is None:
            raise UnknownMedium(f"there is no picture {asked.parts['id']} in the library")
        headers = {}
        if asked.flag("download"):
            name = quote(medium.path.name)
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
        kind = "image/jpeg" if medium.file.is_photo else "video/mp4"
        return _send(asked, medium.path, kind, medium.sha256, headers)

    async def thumbnail(self, asked: Asked) -> Answer | None:
        """A small picture; 404 where there can be none."""
        library = await self._context.open_library()
        path = await library.thumbnail(medium_id(asked))
        if path is None:
            raise UnknownMedium("of this one there can be no thumbnail")
        return _send(asked, path, "image/jpeg", path.stem, {})

    async def static(self, asked: Asked) -> Answer | None:
        """A file that is part of trailcam."""
        name = asked.parts["file"]
        kind = _KINDS.get(Path(name).suffix)
        found = files("trailcam.web").joinpath("static", name)
        if kind is None or not found.is_file():
            raise Refused(404, "there is no such file")
        version = asset_version(name)
        fresh = asked.query("v") == version
        if asked.raw.setETag(f'"{version}"'.encode()) is CACHED:
            return Answer(status=304)
        return Answer(found.read_bytes(), 200, kind, {
            "Cache-Control": "public, max-age=31536000, immutable" if fresh else "no-cache",
        })  # fmt: skip


def _send(
    asked: Asked, path: Path, kind: str, tag: str, headers: dict[str, str]
) -> Answer | None:
    """twisted.web does the ranges; an answer that it has not finished is C{None}."""
    request = asked.raw
    known = asked.query("v")
    caching = _FOR_EVER if known and tag.startswith(known) else _ASK_AGAIN
    for name, value in {**headers, "Cache-Control": caching}.items():
        request.setHeader(name, value)
    if request.setETag(f'"{tag[:32]}"'.encode()) is CACHED:
        request.finish()
        return None
    file = File(str(path), defaultType=kind)
    file.type, file.encoding = kind, None
    body = file.render_GET(request)
    if body is not NOT_DONE_YET:
        if body:
            request.write(body)
        request.finish()
    return None


