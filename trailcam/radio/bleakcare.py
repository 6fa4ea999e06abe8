"""Where bleak must be handled with care: before it is used, and afterwards."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from trailcam.errors import RadioError

__all__ = ["let_go_of_the_bus", "prepare"]

_EXTRA = "waking a camera needs the extra radio: pip install 'trailcam[radio]'"


def prepare() -> None:
    """
    See that bleak is there, and have it say nothing: we say it.

    At level debug its log would have the passphrase in it. It would start
    C{bluetoothctl} to learn BlueZ's version, and never connect again once
    that was cancelled; every BlueZ since 2020 will do.

    @raise RadioError: when it is not installed.
    """
    try:
        from bleak.backends.bluezdbus.version import BlueZFeatures
    except ImportError:
        raise RadioError(_EXTRA) from None
    BlueZFeatures.checked_bluez_version = True
    logging.getLogger("bleak").setLevel(logging.CRITICAL)


async def let_go_of_the_bus() -> None:
    """
    End bleak's own connection to D-Bus.

    It would stay open as long as the loop lives, with a task that complains
    when the loop ends, and with a memory of devices that a BlueZ which was
    restarted knows nothing of. BlueZ stops scanning for who is gone.
    bleak has no public way to do this; these are its names from 3.0 on.
    """
    from bleak.backends.bluezdbus import manager as bluez

    managers: dict[asyncio.AbstractEventLoop, Any] = getattr(bluez, "_global_instances", {})
    manager = managers.pop(asyncio.get_running_loop(), None)
    bus = getattr(manager, "_bus", None)
    if bus is not None:
        bus.disconnect()
        await (getattr(manager, "_bus_watcher_task", None) or bus.wait_for_disconnect())
    await asyncio.sleep(0)  # one that could not be used closes its socket now
