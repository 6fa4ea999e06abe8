"""What goes wrong between us, bleak, D-Bus and BlueZ, in words, and whether it may pass."""

from __future__ import annotations

from enum import Enum

from trailcam.commands import clean
from trailcam.errors import RadioError

__all__ = ["Hope", "Trouble", "explain"]


class Hope(Enum):
    """Whether to try again."""

    #: Only a person can mend it.
    NONE = "none"
    #: It is not there; if it was a moment ago, it may come back.
    RETURN = "return"
    #: Another try may do better.
    LUCK = "luck"
    #: Somebody else is at it just now.
    SOON = "soon"


class Trouble(RadioError):
    """
    Something with Bluetooth.

    @ivar hope: whether to try again.
    """

    def __init__(self, message: str, hope: Hope = Hope.LUCK) -> None:
        super().__init__(message)
        self.hope = hope


_NO_BUS = (
    "there is no D-Bus system bus, which Bluetooth needs: sudo systemctl start dbus (in a "
    "container, give it /run/dbus)"
)
_NO_BLUEZ = (
    "BlueZ, the Bluetooth service, does not run: sudo apt install bluez, then sudo systemctl "
    "enable --now bluetooth"
)
_NO_ADAPTER = (
    "there is no Bluetooth adapter: plug one in; bluetoothctl list must show it (on a Raspberry "
    "Pi, see that config.txt does not turn Bluetooth off)"
)
_NO_LOW_ENERGY = "this Bluetooth adapter cannot do Low Energy: use another, 4.0 or later"
_OFF = "Bluetooth is switched off: rfkill unblock bluetooth, then bluetoothctl power on"
_NO_RIGHTS = (
    "this user may not use Bluetooth: sudo usermod -aG bluetooth NAME, then log in again (a "
    "service needs SupplementaryGroups=bluetooth)"
)
_BUSY = "Bluetooth is busy with something else: end other scans and pairings, then try again"
_GONE = (
    "BlueZ went away in the middle: look at journalctl -u bluetooth, then sudo systemctl restart "
    "bluetooth"
)
_VANISHED = "the camera was seen and went out of reach: go nearer to it, then try again"

_DBUS = "org.freedesktop.DBus.Error."
_BLUEZ = "org.bluez.Error."
#: D-Bus errors by name: what to say, and what to hope. Names that end in a dot are beginnings.
_BY_NAME = {
    f"{_BLUEZ}InProgress": (_BUSY, Hope.SOON),
    f"{_BLUEZ}NotReady": (_OFF, Hope.RETURN),
    f"{_BLUEZ}NotAuthorized": (_NO_RIGHTS, Hope.NONE),
    f"{_DBUS}AccessDenied": (_NO_RIGHTS, Hope.NONE),
    f"{_DBUS}AuthFailed": (_NO_RIGHTS, Hope.NONE),
    f"{_DBUS}ServiceUnknown": (_NO_BLUEZ, Hope.RETURN),
    f"{_DBUS}NameHasNoOwner": (_NO_BLUEZ, Hope.RETURN),
    f"{_DBUS}TimedOut": (_NO_BLUEZ, Hope.RETURN),
    f"{_DBUS}Spawn.": (_NO_BLUEZ, Hope.RETURN),
    "org.freedesktop.systemd1.": (_NO_BLUEZ, Hope.RETURN),
    f"{_DBUS}NoReply": (_GONE, Hope.LUCK),
    f"{_DBUS}Disconnected": (_GONE, Hope.LUCK),
    f"{_DBUS}UnknownObject": (_VANISHED, Hope.LUCK),
    f"{_DBUS}UnknownMethod": (_VANISHED, Hope.LUCK),
}


def explain(error: Exception) -> Trouble:
    """Put into words what bleak or dbus-fast raised."""
    return _from_dbus(error) or _from_bleak(error) or _from_system(error)


def _from_dbus(error: Exception) -> Trouble | None:
    """An error that D-Bus or BlueZ answered with: bleak and dbus-fast both keep its name."""
    name = getattr(error, "dbus_error", None) or getattr(error, "type", None)
    if not isinstance(name, str):
        return None
    for known, (text, hope) in _BY_NAME.items():
        if name == known or (known.endswith(".") and name.startswith(known)):
            return Trouble(text, hope)
    return _failed(error)


def _from_bleak(error: Exception) -> Trouble | None:
    from bleak.exc import (
        BleakBluetoothNotAvailableError,
        BleakBluetoothNotAvailableReason,
        BleakDeviceNotFoundError,
        BleakError,
    )

    if isinstance(error, BleakBluetoothNotAvailableError):
        match error.reason:
            case BleakBluetoothNotAvailableReason.NO_BLUETOOTH:
                return Trouble(_NO_ADAPTER, Hope.RETURN)
            case BleakBluetoothNotAvailableReason.POWERED_OFF:
                return Trouble(_OFF, Hope.RETURN)
            case BleakBluetoothNotAvailableReason.NO_BLE_CENTRAL_ROLE:
                return Trouble(_NO_LOW_ENERGY, Hope.NONE)
            case _:
                return Trouble(_NO_RIGHTS, Hope.NONE)
    if isinstance(error, BleakDeviceNotFoundError):
        return Trouble(_VANISHED)
    return _failed(error) if isinstance(error, BleakError) else None


def _from_system(error: Exception) -> Trouble:
    from dbus_fast import AuthError, InvalidAddressError

    if isinstance(error, PermissionError | AuthError):
        return Trouble(_NO_RIGHTS, Hope.NONE)
    if isinstance(error, OSError | EOFError | InvalidAddressError):
        return Trouble(_NO_BUS, Hope.RETURN)
    return _failed(error)


def _failed(error: Exception) -> Trouble:
    said = str(error.args[-1]) if error.args else type(error).__name__
    reason = clean(" ".join(said.split()), 120)
    return Trouble(f"the Bluetooth connection failed: {reason}; go nearer to the camera, try again")
