"""The service that listens for browsers and programs."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.python.failure import Failure

from trailcam.endpoint import shown
from trailcam.errors import ConfigError
from trailcam.logs import make_logger
from trailcam.web.api import api_routes
from trailcam.web.context import Context
from trailcam.web.files import file_routes
from trailcam.web.gate import Gate
from trailcam.web.pages import page_routes
from trailcam.web.resource import WebResource
from trailcam.web.routes import Routes
from trailcam.web.site import Visitors, WebSite
from trailcam.web.warmer import Warmer

__all__ = ["WebService", "web_resource"]


def web_resource(context: Context) -> WebResource:
    """All pages and the API, to be put into any site."""
    gate = Gate(context.access, context.settings)
    routes = [*page_routes(context, gate), *api_routes(context, gate), *file_routes(context)]
    return WebResource(Routes(routes), gate, context.settings.prefix)


class WebService(Service):
    """
    Listens while it runs.

    @ivar url: where the pages are, as a browser on this computer finds them; C{None}: nowhere
        yet, or not for a browser.
    """

    log = make_logger(__name__)

    def __init__(self, context: Context) -> None:
        """@param context: the station; whoever reaches it may see it, unless it has a password."""
        self._context = context
        self._visitors = Visitors(WebSite(context.reactor, web_resource(context)))
        self._warmer = Warmer(context)
        self._port: IListeningPort | None = None
        self._listening: Deferred[Any] | None = None
        self.url: str | None = None

    def startService(self) -> None:
        """Begin to listen; that it cannot is told in the log."""
        super().startService()
        self._warmer.start()
        self.listen().addErrback(self._failed)

    def listen(self) -> Deferred[None]:
        """
        Listen, if it does not.

        @return: fails with L{ConfigError} when the place cannot be had.
        """
        listening = self._listening
        if listening is None:
            listening = self._listening = maybeDeferred(self._begin)
            listening.addCallbacks(self._listens, self._cannot)
        told: Deferred[None] = Deferred()

        def tell(result: Any) -> None:
            told.callback(result if isinstance(result, Failure) else None)

        listening.addBoth(tell)
        return told

    def stopService(self) -> Deferred[Any]:
        """Listen no more, and break off what is still being told."""
        super().stopService()
        self._warmer.stop()
        port, self._port, self._listening = self._port, None, None
        self.url = None
        stopping = [maybeDeferred(port.stopListening)] if port is not None else []
        return gatherResults([*stopping, self._visitors.leave()])

    def _begin(self) -> Deferred[IListeningPort]:
        endpoint = serverFromString(self._context.reactor, self._context.settings.endpoint)
        listening: Deferred[IListeningPort] = endpoint.listen(self._visitors)
        return listening

    def _listens(self, port: IListeningPort) -> None:
        self._port = port
        where: Any = port.getHost()
        host = getattr(where, "host", None)
        if host is None:
            self.log.info("pages are at {endpoint}", endpoint=self._context.settings.endpoint)
            return
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        scheme = "https" if self._context.settings.endpoint.startswith("ssl:") else "http"
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{where.port}/"
        self.log.info("pages are at {url}", url=self.url)

    def _cannot(self, failure: Failure) -> None:
        self._listening = None
        why = failure.value
        if isinstance(why, CannotListenError):
            why = getattr(why.socketError, "strerror", None) or why.socketError
        raise ConfigError(
            f"pages cannot be at {shown(self._context.settings.endpoint)}: {why}; choose another "
            "endpoint"
        )

    def _failed(self, failure: Failure) -> None:
        self.log.error("{why}", why=failure.getErrorMessage())
