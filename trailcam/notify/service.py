"""All that tells others, of one configuration."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from trailcam.config import Config
from trailcam.configkeys import MESSAGES
from trailcam.errors import LibraryError
from trailcam.extras import check_extras
from trailcam.happenings import Happening, Listener
from trailcam.library import StoredFile
from trailcam.library.visits import Visit
from trailcam.logs import make_logger
from trailcam.notify.messages import message
from trailcam.notify.outbox import Outbox
from trailcam.notify.settings import MqttSettings, WebhookSettings, check

__all__ = ["Notifier"]


class Notifier(MultiService):
    """
    Writes what happens into the outbox, from where it goes to whom C{tap.conf} names.

    It is to be started before the cameras' services, and stopped after them.

    @ivar outbox: what waits; C{None} where nobody is to be told.
    @ivar wanted: the kinds of messages that each destination wants.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        reactor: Any,
        config: Config,
        cameras: Mapping[str, Callable[[], None]],
        recall: Callable[[str], Deferred[tuple[list[Visit], StoredFile | None]]],
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """
        @param cameras: what visits each of them, by name.
        @param recall: what is known of a camera: its visits, latest first, and its last picture.
        @param wall_clock: the time in seconds since 1970, in UTC.
        @raise ConfigError: when something is wrong, or an extra not installed.
        """
        super().__init__()
        check_extras(config)
        check(config)
        self._wall_clock = wall_clock
        self._listener: Listener | None = None
        self._failing = False
        self.wanted: dict[str, frozenset[str]] = {}
        self.outbox: Outbox | None = None
        names = [name for name in ("mqtt", "webhook") if name in config.extras]
        if not names:
            return
        self.outbox = outbox = Outbox(config.state / "outbox.sqlite", reactor, names)
        if "mqtt" in names:
            from trailcam.notify.mqtt import MqttService

            settings = MqttSettings.of(config.extras["mqtt"])
            mqtt = MqttService(reactor, settings, outbox, cameras, recall)
            mqtt.setServiceParent(self)
            self._listener, self.wanted["mqtt"] = mqtt, frozenset(MESSAGES)
        if "webhook" in names:
            from trailcam.notify.webhook import WebhookService

            hook = WebhookSettings.of(config.extras["webhook"])
            WebhookService(reactor, hook, outbox).setServiceParent(self)
            self.wanted["webhook"] = frozenset(hook.events or MESSAGES)

    def startService(self) -> None:
        """Open the outbox first: everything else waits for it."""
        if self.outbox is not None:
            self.outbox.open().addErrback(self._failed)
        super().startService()

    def stopService(self) -> Deferred[Any]:
        """What was not told yet is on disk."""
        stopping: Deferred[Any] = super().stopService()
        if self.outbox is not None:
            outbox = self.outbox
            stopping.addBoth(lambda _: outbox.close())
        return stopping

    def happened(self, what: Happening) -> None:
        """See L{Listener.happened <trailcam.happenings.Listener.happened>}."""
        if self.outbox is None:
            return
        body = message(what, datetime.fromtimestamp(self._wall_clock(), UTC))
        if body is not None:
            wanted = [name for name, kinds in self.wanted.items() if body["event_type"] in kinds]
            if wanted:
                self.outbox.put(body, wanted).addCallbacks(self._safe, self._failed)
        if self._listener is not None:
            self._listener.happened(what)

    def _safe(self, _: object) -> None:
        self._failing = False

    def _failed(self, failure: Failure) -> None:
        """A full disk is told of once; a fault of ours too."""
        if failure.check(LibraryError):
            if not self._failing:
                self.log.error("{why}; what happens meanwhile is told to nobody",
                               why=failure.getErrorMessage())  # fmt: skip
        else:
            self.log.failure("a fault of ours, in the outbox", failure)
        self._failing = True
