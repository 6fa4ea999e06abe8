"""The log of everything in this package, and how much of it is told."""

from __future__ import annotations

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, globalLogPublisher
from zope.interface import provider

__all__ = ["LEVELS", "make_logger", "set_level"]

#: What C{log_level} in C{tap.conf} may be.
LEVELS = {
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "error": LogLevel.error,
}

_lowest = [LogLevel.debug]


def make_logger(namespace: str) -> Logger:
    """A logger that L{set_level} reaches; C{namespace} is the module's C{__name__}."""
    return Logger(namespace, observer=_pass_on)


def set_level(name: str) -> None:
    """From now on tell only what is of this level or a higher one; see L{LEVELS}."""
    _lowest[0] = LEVELS[name]


@provider(ILogObserver)
def _pass_on(event: LogEvent) -> None:
    if event["log_level"] >= _lowest[0]:
        globalLogPublisher(event)
