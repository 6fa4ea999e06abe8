"""
The source port, remembered on disk for each camera.

A camera ties its session to the client's address and source port, and may
answer no other until it is switched off and on (PROTOCOL, "The camera tracks
its client"). So the port must outlive this process, however it ends.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from trailcam.durable import safe_name, write_whole

__all__ = ["PortMemory", "Remembered"]

_writing = threading.Lock()


@dataclass(frozen=True)
class Remembered:
    """
    What is remembered of a camera.

    @ivar port: our source port.
    @ivar address: where the camera was when it last answered.
    """

    port: int
    address: tuple[str, int] | None = None


class PortMemory:
    """
    One small file for each camera in C{STATE/ports}. Its methods block, briefly.

    @ivar folder: where the files are.
    """

    def __init__(self, state: Path) -> None:
        self.folder = state / "ports"

    def recall(self, key: str) -> Remembered | None:
        """
        What is remembered under C{key}; C{None} when there is nothing.

        @raise OSError: when the file cannot be read.
        @raise ValueError: when it is not what we wrote.
        """
        try:
            text = self._path(key).read_text("utf-8")
        except FileNotFoundError:
            return None
        try:
            entry = json.loads(text)
        except RecursionError:
            raise ValueError("nested too deep") from None
        if not isinstance(entry, dict) or not _is_port(entry.get("port")):
            raise ValueError("no port in it")
        host, port = entry.get("host"), entry.get("camera_port")
        address = (str(host), int(port or 0)) if _is_host(host) and _is_port(port) else None
        return Remembered(entry["port"], address)

    def remember(self, key: str, what: Remembered) -> None:
        """
        Write it down, so that it is there whole or not at all.

        @raise OSError: when it cannot be written.
        """
        host, camera_port = what.address or (None, None)
        entry = {
            "camera": key,
            "port": what.port,
            "host": host,
            "camera_port": camera_port,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(key)
        # Several programs may write it, each beside the others; and so may several threads of
        # one, where two cameras are called at the same address.
        part = path.with_suffix(f".{os.getpid()}.part")
        with _writing:
            self._tidy(path)
            write_whole(path, json.dumps(entry).encode() + b"\n", part)

    def _tidy(self, path: Path) -> None:
        """Delete what programs that were killed have left beside a file."""
        for part in self.folder.glob(f"{path.stem}.*.part"):
            writer = part.suffixes[-2].removeprefix(".")
            if writer.isdecimal() and not _is_running(int(writer)):
                part.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{safe_name(key)}.json"


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def _is_host(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(IPv4Address(value))
    except ValueError:
        return False


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536
