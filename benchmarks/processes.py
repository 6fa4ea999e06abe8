"""
Processes that a benchmark starts, and how they talk: JSON, one object a line.

A helper says one line when it is ready, then answers commands until its
standard input ends.
"""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Broken", "Json", "Process", "Stopwatch", "say", "serve"]

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
#: No answer takes so many seconds.
PATIENCE = 300.0


class Broken(Exception):
    """A helper has failed; its own words are on standard error."""


class Process:
    """One helper: C{python -m benchmarks.MODULE}."""

    def __init__(self, module: str, **options: Any) -> None:
        self._module = module
        command = [sys.executable, "-m", f"benchmarks.{module}", json.dumps(options)]
        self._popen = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._ready: Json | None = None

    @property
    def ready(self) -> Json:
        """What it said when it was ready; waits for that."""
        if self._ready is None:
            self._ready = self._answer()
        return self._ready

    def tell(self, command: str, **options: Any) -> None:
        """Give a command, and do not wait for the answer."""
        assert self.ready is not None and self._popen.stdin is not None
        self._popen.stdin.write(json.dumps({"do": command, **options}).encode() + b"\n")

    def ask(self, command: str, **options: Any) -> Json:
        """
        Give a command.

        @return: the answer.
        @raise Broken: when none comes.
        """
        self.tell(command, **options)
        return self._answer()

    def _answer(self) -> Json:
        output = self._popen.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], PATIENCE)
        line = output.readline() if ready else b""
        if not line:
            raise Broken(f"the benchmark's {self._module} has failed")
        answer: Json = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        assert self._popen.stdin is not None and self._popen.stdout is not None
        try:
            self._popen.stdin.close()
            self._popen.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self._popen.kill()
            self._popen.wait()
        self._popen.stdout.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Stopwatch:
    """Wall time, and processor time of this process with all its threads, in seconds."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), self._used()

    def read(self) -> Json:
        """What has passed: C{seconds} and C{cpu}."""
        return {"seconds": time.perf_counter() - self._wall, "cpu": self._used() - self._cpu}

    def _used(self) -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime


def say(answer: Json) -> None:
    """In a helper: answer."""
    os.write(1, json.dumps(answer).encode() + b"\n")


def serve(handle: Callable[[Any, Json], Coroutine[Any, Any, Json]], ready: Json | None = None
          ) -> None:  # fmt: skip
    """
    In a helper that uses Twisted: run C{handle(reactor, command)} for each command.

    C{ready} is said first.
    """
    from twisted.internet import reactor as global_reactor
    from twisted.internet.defer import Deferred
    from twisted.internet.task import react
    from twisted.internet.threads import deferToThreadPool

    reactor: Any = global_reactor
    reactor.seconds = time.monotonic  # as the product's commands do

    async def answer_all() -> None:
        say(ready or {})
        while line := await deferToThreadPool(
            reactor, reactor.getThreadPool(), sys.stdin.buffer.readline
        ):
            say(await handle(reactor, json.loads(line)))

    react(lambda _: Deferred.fromCoroutine(answer_all()))
