"""The HTTP API, version 1: JSON, as C{static/openapi.json} tells."""

from __future__ import annotations

from trailcam.web.api.cameras import camera_routes
from trailcam.web.api.events import event_routes
from trailcam.web.api.live import live_routes
from trailcam.web.api.media import media_routes
from trailcam.web.api.station import station_routes
from trailcam.web.context import Context
from trailcam.web.gate import Gate
from trailcam.web.routes import Route

__all__ = ["api_routes"]


def api_routes(context: Context, gate: Gate) -> list[Route]:
    """
    The paths of the API.

    @param gate: asked again and again whether who listens or watches still may.
    """
    return [
        *media_routes(context),
        *camera_routes(context),
        *event_routes(context, gate),
        *live_routes(context, gate),
        *station_routes(context),
    ]
