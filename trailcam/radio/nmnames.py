"""
What NetworkManager calls things on D-Bus: names, states and reasons.

From its interface specification and C{nm-dbus-interface.h} (1.42); only what is used here.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "ACCESS_POINT",
    "ACTIVE",
    "DEVICE",
    "IP4_CONFIG",
    "MANAGER",
    "MANAGER_PATH",
    "NOTHING",
    "OBJECT_MANAGER",
    "OBJECT_MANAGER_PATH",
    "PROFILE",
    "SETTINGS",
    "SETTINGS_PATH",
    "WIFI",
    "WIRELESS",
    "ActiveReason",
    "ActiveState",
    "DeviceState",
    "Reason",
]

#: The bus name, and the main interface.
MANAGER = "org.freedesktop.NetworkManager"
MANAGER_PATH = "/org/freedesktop/NetworkManager"
DEVICE = f"{MANAGER}.Device"
WIRELESS = f"{MANAGER}.Device.Wireless"
ACCESS_POINT = f"{MANAGER}.AccessPoint"
ACTIVE = f"{MANAGER}.Connection.Active"
IP4_CONFIG = f"{MANAGER}.IP4Config"
SETTINGS = f"{MANAGER}.Settings"
SETTINGS_PATH = f"{MANAGER_PATH}/Settings"
PROFILE = f"{MANAGER}.Settings.Connection"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
OBJECT_MANAGER_PATH = "/org/freedesktop"
#: The path that stands for no object.
NOTHING = "/"
#: NMDeviceType of a Wi-Fi device.
WIFI = 2


class DeviceState(IntEnum):
    """NMDeviceState."""

    UNKNOWN = 0
    UNMANAGED = 10
    UNAVAILABLE = 20
    DISCONNECTED = 30
    PREPARE = 40
    CONFIG = 50
    NEED_AUTH = 60
    IP_CONFIG = 70
    IP_CHECK = 80
    SECONDARIES = 90
    ACTIVATED = 100
    DEACTIVATING = 110
    FAILED = 120


class Reason(IntEnum):
    """NMDeviceStateReason: those that tell us something."""

    NONE = 0
    NOW_UNMANAGED = 3
    CONFIG_FAILED = 4
    IP_CONFIG_UNAVAILABLE = 5
    IP_CONFIG_EXPIRED = 6
    NO_SECRETS = 7
    SUPPLICANT_DISCONNECT = 8
    SUPPLICANT_CONFIG_FAILED = 9
    SUPPLICANT_FAILED = 10
    SUPPLICANT_TIMEOUT = 11
    DHCP_START_FAILED = 15
    DHCP_ERROR = 16
    DHCP_FAILED = 17
    REMOVED = 36
    CONNECTION_REMOVED = 38
    USER_REQUESTED = 39
    SSID_NOT_FOUND = 53
    NEW_ACTIVATION = 60


class ActiveState(IntEnum):
    """NMActiveConnectionState."""

    UNKNOWN = 0
    ACTIVATING = 1
    ACTIVATED = 2
    DEACTIVATING = 3
    DEACTIVATED = 4


class ActiveReason(IntEnum):
    """NMActiveConnectionStateReason: a Wi-Fi device that fails gives no other than these."""

    UNKNOWN = 0
    DEVICE_DISCONNECTED = 3
    DEVICE_REMOVED = 14
