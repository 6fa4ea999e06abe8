"""Asking a person at a terminal, while the camera is kept in touch with."""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["ask", "can_ask"]

#: So many seconds a question waits for its answer; the camera is awake meanwhile.
PATIENCE = 120.0


def can_ask() -> bool:
    """Whether there is somebody who sees a question and can answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(reactor: Any, question: str, patience: float = PATIENCE) -> Deferred[bool]:
    """
    Ask for a yes.

    @param reactor: provides C{IReactorFDSet} and C{IReactorTime}.
    @param patience: after so many seconds the answer is no.
    @return: fires with whether it was one.
    """
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return _Line(reactor, sys.stdin.fileno(), patience).answer.addCallback(_is_yes)


def _is_yes(line: bytes) -> bool:
    return line.strip().lower() in (b"y", b"yes")


@implementer(IReadDescriptor)
class _Line:
    """
    The next line that is typed: a terminal is readable when there is a whole one.

    @ivar answer: fires with it; empty when there is none.
    """

    def __init__(self, reactor: Any, descriptor: int, patience: float) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self.answer: Deferred[bytes] = Deferred(lambda _: self._end())
        self._timer = reactor.callLater(patience, self._over, b"")
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "terminal"

    def doRead(self) -> None:
        try:
            self._over(os.read(self._descriptor, 1024))
        except OSError:
            self._over(b"")

    def connectionLost(self, reason: Failure) -> None:
        """The terminal has gone."""
        if not self.answer.called:
            self._over(b"")

    def _over(self, line: bytes) -> None:
        self._end()
        if not line.endswith(b"\n"):
            print(file=sys.stderr)  # what comes next begins a line of its own
        self.answer.callback(line)

    def _end(self) -> None:
        self._reactor.removeReader(self)
        if self._timer.active():
            self._timer.cancel()
