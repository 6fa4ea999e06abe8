"""The HTTP API, of the station as a whole; and what looks after it from outside."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files

from trailcam._version import __version__
from trailcam.errors import LibraryError
from trailcam.extras import missing
from trailcam.library.files import STATE
from trailcam.web.api.values import Json, time_json
from trailcam.web.context import Context
from trailcam.web.http import JSON, Answer, Asked, Refused, json_answer
from trailcam.web.routes import Route
from trailcam.worker import ThreadWorker

__all__ = ["station_routes"]

_TEXT = "text/plain; charset=utf-8"


def station_routes(context: Context) -> list[Route]:
    """The paths."""
    own = _Station(context)
    return [
        Route("GET", "/api/v1/station", own.station),
        Route("GET", "/api/v1/openapi.json", own.description, public=True),
        Route("GET", "/metrics", own.metrics),
        Route("GET", "/healthz", own.health, public=True),
    ]


class _Station:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._worker = ThreadWorker(context.reactor)

    async def station(self, asked: Asked) -> Answer:
        """How it is."""
        library = await self._context.open_library()
        cameras = await library.cameras()
        disk = await self._worker.call(_disk, str(library.path))
        return json_answer({
            "version": __version__,
            "time": time_json(datetime.now(UTC)),
            "library": {"media": sum(camera.count for camera in cameras)},
            "disk": disk,
            "cameras": sorted(self._context.cameras),
            "access": {"password": self._context.access.has_password},
        })  # fmt: skip

    async def description(self, asked: Asked) -> Answer:
        """What this API can do, for programs (OpenAPI); it is the same at every station."""
        return Answer(_description(), 200, JSON).having(Cache_Control="no-cache")

    async def metrics(self, asked: Asked) -> Answer:
        """For Prometheus."""
        if self._context.metrics is None:
            how = missing("metrics") or "restart the station"
            raise Refused(404, f"there are no metrics here: {how}")
        from prometheus_client import CONTENT_TYPE_LATEST

        return Answer(self._context.metrics.text(), 200, CONTENT_TYPE_LATEST)

    async def health(self, asked: Asked) -> Answer:
        """Whether it works, for whoever restarts what does not; it tells no more than that."""
        try:
            library = await self._context.open_library()
            await self._worker.call(_disk, str(library.path / STATE))  # it may have gone since
        except LibraryError:
            raise Refused(503, "the library cannot be used: see the log") from None
        return Answer(b"ok\n", 200, _TEXT)


def _disk(path: str) -> Json:
    """
    @raise LibraryError: when it is not there.
    """
    try:
        usage = shutil.disk_usage(path)
    except OSError as error:
        raise LibraryError(f"{path} cannot be used: {error.strerror}") from None
    return {"free_bytes": usage.free, "total_bytes": usage.total}


@cache
def _description() -> bytes:
    text = files("trailcam.web").joinpath("static", "openapi.json").read_text("utf-8")
    description = json.loads(text)
    description["info"]["version"] = __version__
    return json.dumps(description, ensure_ascii=False, separators=(",", ":")).encode()
