"""
What C{trailcam doctor} checks of telling others: only where C{tap.conf} asks for it.

The broker is called once, and nothing is said to it; nothing goes to the webhook.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from trailcam.checks import Finding, Station
from trailcam.errors import ConfigError
from trailcam.extras import missing, wanted
from trailcam.notify.settings import MqttSettings, check

__all__ = ["check_notify"]

#: How long the broker may take, in seconds.
LIMIT = 2.0


def check_notify(station: Station) -> Iterator[Finding]:
    """Is installed what telling others needs, and is the broker there?"""
    config = station.config
    if config is None:
        return
    for extra, why in wanted(config).items():
        if mend := missing(extra):
            yield Finding("extras", "problem", f"{why} needs the extra {extra}", mend)
        else:
            yield Finding("extras", "ok", f"{why} has the extra {extra}")
    try:
        check(config)
    except ConfigError as error:
        yield Finding("notify", "problem", str(error), "mend that in tap.conf")
        return
    if "mqtt" in config.extras:
        yield _broker(MqttSettings.of(config.extras["mqtt"]))


def _broker(settings: MqttSettings) -> Finding:
    broker = f"{settings.host}:{settings.port}"
    try:
        with socket.create_connection((settings.host, settings.port), LIMIT):
            return Finding("mqtt", "ok", f"the broker {broker} is there")
    except OSError as error:
        text = f"the broker {broker} cannot be reached: {error.strerror or error}"
        mend = "start it, or correct host and port in [mqtt]; what is told meanwhile waits"
        return Finding("mqtt", "warning", text, mend)
