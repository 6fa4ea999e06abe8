"""
What C{tap.conf} says of telling others.

Nothing here needs Twisted, or an extra.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trailcam.config import Config
from trailcam.errors import ConfigError

__all__ = ["MqttSettings", "WebhookSettings", "check"]


@dataclass(frozen=True)
class MqttSettings:
    """
    The section C{[mqtt]}.

    @ivar host: the broker.
    @ivar port: its port.
    @ivar tls: whether to talk TLS with it; its certificate must be good.
    @ivar user: to log in with; C{None}: without.
    @ivar password: likewise.
    @ivar topic: what all our topics begin with; several stations need several.
    @ivar discovery_prefix: where Home Assistant looks.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    topic: str = "trailcam"
    discovery_prefix: str = "homeassistant"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> MqttSettings:
        """
        Read the section.

        @raise ConfigError: when there is a password without a user.
        """
        if values.get("password") and not values.get("user"):
            raise ConfigError("[mqtt] has a password_file, but no user")
        usual = {"port": 8883} if values.get("tls") else {}
        return cls(**{**usual, **values})

    @property
    def status(self) -> str:
        """The topic that says whether this station runs."""
        return f"{self.topic}/status"

    @property
    def key(self) -> str:
        """The topic, as a part of a name."""
        return re.sub(r"[^A-Za-z0-9_-]", "_", self.topic)

    def of_camera(self, name: str, what: str) -> str:
        """A topic that is about one camera."""
        return f"{self.topic}/{name}/{what}"


@dataclass(frozen=True)
class WebhookSettings:
    """
    The section C{[webhook]}.

    @ivar url: where to POST to.
    @ivar token: goes along as C{Authorization: Bearer}; C{None}: nothing does.
    @ivar timeout: how long one attempt may take, in seconds.
    @ivar events: what is told; C{None} for all.
    """

    url: str = field(repr=False)  # often a secret
    token: str | None = field(default=None, repr=False)
    timeout: float = 20.0
    events: frozenset[str] | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> WebhookSettings:
        """
        Read the section.

        @raise ConfigError: when it does not say where to.
        """
        if "url" not in values:
            raise ConfigError("[webhook] needs a url")
        return cls(**values)


def check(config: Config) -> None:
    """
    Whether what a configuration says of telling others makes sense.

    @raise ConfigError: when it does not.
    """
    if "mqtt" in config.extras:
        MqttSettings.of(config.extras["mqtt"])
    if "webhook" in config.extras:
        WebhookSettings.of(config.extras["webhook"])
