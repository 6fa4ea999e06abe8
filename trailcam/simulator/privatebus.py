"""
A D-Bus daemon of our own, for the mock BlueZ and the mock NetworkManager.

Whoever is to meet the mocks is started with C{DBUS_SYSTEM_BUS_ADDRESS} set to
its address. Nothing of the machine's own bus is touched.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from trailcam.errors import RadioError

__all__ = ["PrivateBus"]

_CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <keep_umask/>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
#: Runs a command until standard input ends, as it does however we end, and removes a folder.
_WATCH = 'folder=$1; shift; "$@" & exec >&-; read -r _; kill -KILL $!; wait; rm -rf -- "$folder"'


class PrivateBus:
    """
    A C{dbus-daemon} in a temporary folder; both go with L{close}, or with this process.

    @ivar address: for C{DBUS_SYSTEM_BUS_ADDRESS}.
    """

    def __init__(self) -> None:
        """
        @raise RadioError: when there is no C{dbus-daemon}.
        """
        if shutil.which("dbus-daemon") is None:
            raise RadioError("there is no dbus-daemon: install the package dbus")
        # A socket's path is short, wherever TMPDIR is.
        self._folder = tempfile.TemporaryDirectory(prefix="trailcam-bus-", dir="/tmp")
        socket = Path(self._folder.name) / "socket"
        configuration = Path(self._folder.name) / "bus.conf"
        configuration.write_text(_CONFIGURATION.format(socket=socket), "utf-8")
        # In a process group of its own, or Ctrl-C would end it before those who use it.
        self._watch = subprocess.Popen(
            ["sh", "-c", _WATCH, "trailcam-bus", self._folder.name,
             "dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile",
             "--print-address"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, process_group=0,
        )  # fmt: skip
        self.address = f"unix:path={socket}"
        if self._watch.stdout is None or not self._watch.stdout.readline():
            self.close()
            raise RadioError("dbus-daemon did not start")

    def close(self) -> None:
        """End the daemon; whoever is connected notices."""
        for stream in (self._watch.stdin, self._watch.stdout):
            if stream is not None:
                stream.close()
        self._watch.wait()
        self._folder.cleanup()

    def __enter__(self) -> PrivateBus:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
