"""
Network namespaces: several hosts on one machine, without touching its own network.

What runs in one sees only the interfaces that were put there, so broadcasts
are allowed. It takes root; L{unavailable} says what else is missing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from threading import Condition, Thread
from typing import IO

__all__ = ["Namespace", "Running", "inside", "unavailable"]

CLONE_NEWNET = 0x40000000
CHECKOUT = Path(__file__).resolve().parent.parent
_serial = count(1)


@cache
def unavailable() -> str | None:
    """Why there can be no namespaces with bad links here; C{None} when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the ip command (iproute2)"
    if not os.path.exists("/dev/net/tun"):
        return "a bad link needs /dev/net/tun"
    try:
        with open("/dev/net/tun", "rb+", buffering=0):
            pass
        trial = Namespace("trial")
        trial.add()
        trial.remove()
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        return f"no network namespaces here: {reason.strip()}"
    return None


class Running:
    """
    A program that runs, or ran. What it writes is kept, and can be waited for.

    @ivar output: the lines of its standard output so far.
    @ivar errors: the lines of its standard error so far.
    @ivar pid: its process id.
    @ivar memory: the most that it has held, in bytes, seen whenever it wrote a line.
    @ivar descriptors: the most files and sockets that it had open, seen then too.
    """

    def __init__(self, *command: str) -> None:
        self.output: list[str] = []
        self.errors: list[str] = []
        self.memory = self.descriptors = 0
        self._changed = Condition()
        self._command = command
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(),
        )
        self.pid = self._process.pid
        pipes = (self._process.stdout, self.output), (self._process.stderr, self.errors)
        self._readers = [Thread(target=self._read, args=each, daemon=True) for each in pipes]
        for reader in self._readers:
            reader.start()

    def wait_for(self, text: str, timeout: float) -> str:
        """
        Wait until a line with C{text} has been written.

        @return: the first such line.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in (*self.output, *self.errors):
                    if text in line:
                        return line
                ended = not any(reader.is_alive() for reader in self._readers)
                if ended or time.monotonic() >= deadline:
                    raise AssertionError(f"no {text!r} within {timeout:g} s from {self}")
                self._changed.wait(0.2)

    def tell(self, line: str) -> None:
        """Write one line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def close_input(self) -> None:
        """End its standard input."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def finish(self, timeout: float) -> int:
        """
        Wait for its end.

        @return: its exit status.
        """
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not done within {timeout:g} s: {self}") from None
        for reader in self._readers:
            reader.join()
        return status

    def stop(self) -> None:
        """End it, if it has not ended yet; harmless at any time."""
        process = self._process
        self.close_input()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        self.finish(5)
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()

    def __str__(self) -> str:
        wrote = "\n".join(["", *self.output, *self.errors][-40:])
        return f"{' '.join(self._command)}{wrote}"

    def _read(self, pipe: IO[str], lines: list[str]) -> None:
        for line in pipe:
            memory, descriptors = _usage(self.pid)
            with self._changed:
                lines.append(line.rstrip("\n"))
                self.memory = max(self.memory, memory)
                self.descriptors = max(self.descriptors, descriptors)
                self._changed.notify_all()


class Namespace:
    """
    One host.

    @ivar name: unique to this process and this object.
    """

    def __init__(self, role: str) -> None:
        """@param role: what it is, for people."""
        self.name = f"trailcam-{os.getpid()}-{next(_serial)}-{role}"

    def add(self) -> None:
        """Make it, with a loopback interface."""
        _ip("netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def remove(self) -> None:
        """Remove it and its interfaces; stop what runs in it first."""
        _ip("netns", "delete", self.name)

    def ip(self, *arguments: str) -> None:
        """Run C{ip} for this host."""
        _ip("-n", self.name, *arguments)

    def join(self, interface: str, other: Namespace, others_interface: str) -> None:
        """Lay a perfect cable to another host."""
        self.ip("link", "add", interface, "type", "veth",
                "peer", "name", others_interface, "netns", other.name)  # fmt: skip

    def address(self, interface: str, address: str) -> None:
        """Give an interface its address, with the network's prefix, and switch it on."""
        self.ip("address", "add", address, "broadcast", "+", "dev", interface)
        self.ip("link", "set", interface, "up")

    def run(self, *command: str) -> Running:
        """Start a program on this host."""
        return Running("ip", "netns", "exec", self.name, *command)

    def trailcam(self, *arguments: str) -> Running:
        """Start C{trailcam} on this host."""
        return self.run(sys.executable, "-m", "trailcam", *arguments)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Be in a namespace for a moment: sockets and interfaces made now stay in it."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)  # os.setns comes with Python 3.12

    def enter(descriptor: int) -> None:
        if libc.setns(descriptor, CLONE_NEWNET):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), namespace)

    with open("/proc/self/ns/net", "rb") as home, open(f"/run/netns/{namespace}", "rb") as there:
        enter(there.fileno())
        try:
            yield
        finally:
            enter(home.fileno())


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def _environment() -> dict[str, str]:
    """Ours, but for what would change what C{trailcam} does."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TRAILCAM_")}
    path = [str(CHECKOUT), *filter(None, [ours.get("PYTHONPATH")])]
    return {**ours, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}


def _usage(pid: int) -> tuple[int, int]:
    """The most memory it has held, in bytes, and its open descriptors; nothing if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        return (int(peak[1]) * 1024 if peak else 0), len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0, 0
