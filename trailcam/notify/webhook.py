"""A webhook: what happens, as a POST with JSON, from the outbox, until it is answered with 2xx."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as TwistedTimeout
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

from trailcam._version import __version__
from trailcam.notify.courier import PAUSES, Courier, Refused, Undelivered
from trailcam.notify.messages import MEDIA, Body
from trailcam.notify.outbox import Entry, Outbox
from trailcam.notify.picture import small_picture
from trailcam.notify.settings import WebhookSettings
from trailcam.worker import ThreadWorker, Worker

__all__ = ["WebhookService"]

#: A thumbnail has at most so many pixels on a side.
THUMBNAIL = 320
#: So much of an answer is listened to, in bytes, and for so many seconds.
_REST_BYTES, _REST_TIME = 1 << 16, 1.0
#: These answers are about this one message; all others may change.
_REFUSALS = {400, 413, 415, 422}


class WebhookService(Service):
    """Tells one URL."""

    #: Its name in the outbox.
    destination = "webhook"

    def __init__(
        self,
        reactor: Any,
        settings: WebhookSettings,
        outbox: Outbox,
        *,
        pauses: Sequence[float] = PAUSES,
        worker: Worker | None = None,
    ) -> None:
        """
        @param pauses: between attempts, in seconds.
        @param worker: makes thumbnails; C{None}: the reactor's threads.
        """
        self._reactor = reactor
        self._settings = settings
        self._worker = worker or ThreadWorker(reactor)
        # It follows no redirect, for the token is for this one URL; and by https it talks only
        # to whom the system trusts.
        self._agent = Agent(reactor, connectTimeout=settings.timeout)
        self._courier = Courier(reactor, outbox, self.destination, self._deliver, pauses)

    def startService(self) -> None:
        super().startService()
        self._courier.start()

    def stopService(self) -> None:
        """What is on its way is broken off, and comes again after the next start."""
        super().stopService()
        self._courier.stop()

    async def _deliver(self, entry: Entry) -> None:
        body = await self._with_thumbnail(entry.body)
        try:
            status = await self._post(entry.body["id"], body)
        except Exception as error:
            raise Undelivered(f"the webhook cannot be reached: {_reason(error)}") from error
        if not 200 <= status < 300:
            text = f"the webhook answers with status {status}"
            raise Refused(text) if status in _REFUSALS else Undelivered(text)

    async def _with_thumbnail(self, body: Body) -> Body:
        """Made only now, so that not thousands of them wait on disk."""
        if body["event_type"] not in MEDIA:
            return body
        picture = await self._worker.call(small_picture, Path(body["path"]), THUMBNAIL)
        return body | {"thumbnail": picture and b64encode(picture).decode()}

    async def _post(self, key: str, body: Body) -> int:
        headers = {
            "Content-Type": ["application/json"],
            "User-Agent": [f"trailcam/{__version__}"],
            "Idempotency-Key": [key],
        }
        if self._settings.token is not None:
            headers["Authorization"] = [f"Bearer {self._settings.token}"]
        asking: Deferred[IResponse] = self._agent.request(
            b"POST", self._settings.url.encode(), Headers(headers), _Json(body)
        )
        response = await asking.addTimeout(self._settings.timeout, self._reactor)
        rest = _Rest()
        response.deliverBody(rest)
        with suppress(TwistedTimeout):  # whatever it says beyond that, it has said its status
            await rest.over.addTimeout(_REST_TIME, self._reactor)
        return int(response.code)


class _Rest(Protocol):
    """The rest of an answer: nobody reads it, and there may be no end to it."""

    def __init__(self) -> None:
        self.over: Deferred[None] = Deferred(lambda _: self._abort())
        self._left = _REST_BYTES

    def dataReceived(self, data: bytes) -> None:
        """Count it."""
        self._left -= len(data)
        if self._left < 0:
            self._abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It has come to its end."""
        if not self.over.called:
            self.over.callback(None)

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


@implementer(IBodyProducer)
class _Json:
    """The body of a request; it is small, and written at once."""

    def __init__(self, body: Body) -> None:
        self._bytes = json.dumps(body).encode()
        self.length = len(self._bytes)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Write it."""
        consumer.write(self._bytes)
        return succeed(None)

    def pauseProducing(self) -> None:
        """It is written already."""

    def resumeProducing(self) -> None:
        """Likewise."""

    def stopProducing(self) -> None:
        """Likewise."""


#: What it looks like when the time is over.
_LATE = (TwistedTimeout, ConnectTimeout, CancelledError, ConnectingCancelledError)


def _reason(error: Exception) -> str:
    """One short line, without the URL."""
    if isinstance(error, ResponseFailed) and error.reasons:
        failure: Failure = error.reasons[0]
        return _reason(failure.value) if isinstance(failure.value, Exception) else str(failure)
    if isinstance(error, _LATE):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, DNSLookupError):
        return "its name is not known"
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200]
