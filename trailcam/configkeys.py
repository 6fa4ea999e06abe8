"""
The keys of C{tap.conf}: which there are, and how the value of each is read.

Also used for the same values from elsewhere: the answers to C{trailcam init}.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import tzinfo
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trailcam.errors import ConfigError
from trailcam.schedule import parse_quiet, parse_times
from trailcam.target import parse_address

__all__ = ["EXTRAS", "KEYS", "MESSAGES", "check_name", "check_value", "suggestion"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,31}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_DEVICE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,39}")
_TOPIC = re.compile(r"(?=.{1,64}$)[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
#: What other programs are told of.
MESSAGES = ("photo", "video", "visit_ended", "battery_low", "card_nearly_full", "clock_wrong",
            "camera_missing", "camera_back")  # fmt: skip
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
_YES, _NO = ("yes", "on", "true", "1"), ("no", "off", "false", "0")


class _Wrong(ValueError):
    """
    A value that is not what its key wants.

    @ivar must: what the value must be.
    @ivar known: the values that there are, where they can be listed.
    """

    def __init__(self, must: str, known: Collection[str] = ()) -> None:
        super().__init__(must)
        self.must = must
        self.known = known


Reader = Callable[[str], Any]


def _number(low: float, high: float, kind: type[int] | type[float] = float) -> Reader:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(-1)
        if not low <= value <= high:
            raise _Wrong(f"a number from {low} to {high}")
        return value

    return read


def _pauses(text: str) -> tuple[float, ...]:
    read = _number(0, 3600)
    try:
        return tuple(read(pause) for pause in text.replace(",", " ").split())
    except _Wrong:
        raise _Wrong("numbers from 0 to 3600 with blanks between them") from None


def _level(text: str) -> str:
    levels = ("debug", "info", "warn", "error")
    if text.lower() not in levels:
        raise _Wrong("debug, info, warn or error", levels)
    return text.lower()


def _address(text: str) -> tuple[str, int | None]:
    try:
        return parse_address(text)
    except ConfigError:
        raise _Wrong("a camera's address like 192.168.43.1 or 192.168.43.1:40611") from None


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise _Wrong("an IPv4 address like 192.168.43.255") from None


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise _Wrong("a path whose ~ is the home folder of someone known here") from None


def _zone(text: str) -> tzinfo:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones
        raise _Wrong("a time zone like Europe/Paris", available_timezones()) from None


def _wake(text: str) -> str | None:
    """C{None} for no; empty for any camera; else a Bluetooth address, or how its name begins."""
    if text.lower() in _NO:
        return None
    if ":" in text and not _MAC.fullmatch(text):
        raise _Wrong("no, yes, a Bluetooth address like C6:1E:0D:00:12:34, or how a name begins")
    return "" if text.lower() in _YES else text.upper() if _MAC.fullmatch(text) else text


def _wifi(text: str) -> str | None:
    """C{None} for no; empty for any Wi-Fi device; else its name."""
    if text.lower() in _NO:
        return None
    if text.lower() in _YES:
        return ""
    if not _DEVICE.fullmatch(text):
        raise _Wrong("no, yes, or the name of a Wi-Fi device like wlan1", ("no", "yes"))
    return text


def _network(text: str) -> str:
    if len(text.encode()) > 32:
        raise _Wrong("the name of a Wi-Fi network, at most 32 bytes")
    return text


def _after_visit(text: str) -> str:
    choices = ("keep", "delete")
    if text.lower() not in choices:
        raise _Wrong("keep or delete", choices)
    return text.lower()


def _yes_or_no(text: str) -> bool:
    if text.lower() not in _YES + _NO:
        raise _Wrong("yes or no", ("yes", "no"))
    return text.lower() in _YES


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise _Wrong("a host's name, or its address")
    return text


def _topic(text: str) -> str:
    if not _TOPIC.fullmatch(text):
        raise _Wrong("at most 64 letters, digits, - and _, with / between its parts")
    return text


def _url(text: str) -> str:
    must = "a URL like https://example.org/hook, without a name or password in it"
    try:
        parts = urlsplit(text)
        # Reading the port fails where it is none.
        good = parts.hostname and parts.scheme in ("http", "https") and (parts.port or 1)
    except ValueError:
        good = False
    plain = text.isascii() and not re.search(r"\s", text)
    if not good or not plain or "@" in parts.netloc or not _HOST.fullmatch(parts.hostname or ""):
        raise _Wrong(must)
    return text


def _events(text: str) -> frozenset[str]:
    wanted = frozenset(text.replace(",", " ").split())
    for kind in sorted(wanted - set(MESSAGES)):
        raise _Wrong(f"of {', '.join(MESSAGES)}{suggestion(kind, MESSAGES)}")
    return wanted


def _endpoint(text: str) -> str:
    from trailcam.endpoint import read_endpoint

    try:
        return read_endpoint(text)
    except ConfigError as error:
        raise _Wrong(str(error)) from None


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise _Wrong("a path like /trailcam")
    return text.rstrip("/")


def _addresses(text: str) -> frozenset[str]:
    try:
        return frozenset(str(ip_address(each)) for each in text.replace(",", " ").split())
    except ValueError:
        raise _Wrong("IP addresses with blanks between them") from None


def _frames(text: str) -> tuple[str, ...]:
    sources = tuple(text.replace(",", " ").split())
    if not all(source == "self" or _ORIGIN.fullmatch(source) for source in sources):
        raise _Wrong("self, or origins like https://home.example.org:8123")
    return sources


_PORT = _number(1, 65535, int)

#: The keys of each kind of section, and how each is read.
KEYS: Mapping[str, Mapping[str, Reader]] = {
    "trailcam": {
        "library": _path,
        "state": _path,
        "log_level": _level,
        "metrics_file": _path,
        "keep_free": _number(0, 10**8, int),
        "keep_days": _number(0, 36500, int),
    },
    "connection": {
        "discovery": _number(0.1, 600),
        "pauses": _pauses,
        "total": _number(1, 86400),
        "silence": _number(1, 600),
        "request": _number(1, 600),
        "heartbeat": _number(0.5, 60),
        "port_patience": _number(0, 600),
    },
    "camera": {
        "address": _address,
        "interface": _ipv4,
        "broadcast": _ipv4,
        "search_port": _PORT,
        "local_port": _PORT,
        "user": str,
        "password": str,
        "password_file": _path,
        "zone": _zone,
        "interval": _number(0, 43200),
        "times": parse_times,
        "quiet": parse_quiet,
        "jitter": _number(0, 1440),
        "battery_floor": _number(0, 100, int),
        "wake": _wake,
        "wifi": _wifi,
        "network": _network,
        "network_password_file": _path,
        "after_visit": _after_visit,
        "budget": _number(1, 1440),
        "live_limit": _number(1, 1440),
        "battery_low": _number(0, 100, int),
        "card_low": _number(0, 10**6, int),
    },
    "web": {
        "endpoint": _endpoint,
        "prefix": _prefix,
        "trusted_proxies": _addresses,
        "frames": _frames,
    },
    "mqtt": {
        "host": _host,
        "port": _PORT,
        "tls": _yes_or_no,
        "user": str,
        "password_file": _path,
        "topic": _topic,
        "discovery_prefix": _topic,
    },
    "webhook": {
        "url": _url,
        "token_file": _path,
        "timeout": _number(1, 600),
        "events": _events,
    },
}

#: Sections that switch something on by being there.
EXTRAS = ("web", "mqtt", "webhook")


def check_value(kind: str, key: str, text: str) -> Any:
    """
    Read one value.

    @param kind: the kind of section, a key of L{KEYS}.
    @return: the value, or C{None} where C{text} is empty.
    @raise ConfigError: saying what it must be.
    """
    text = text.strip()
    shown = repr(text if len(text) <= 60 else f"{text[:60]}…")
    if key in ("password", "url"):  # which may hold a secret, and this goes into logs
        shown = "what is there"
    if _CONTROL.search(text):
        raise ConfigError(f"{key} must be text, not {shown}")
    try:
        return KEYS[kind][key](text) if text else None
    except _Wrong as wrong:
        hint = suggestion(text, wrong.known)
        raise ConfigError(f"{key} must be {wrong.must}, not {shown}{hint}") from None


def check_name(text: str) -> str:
    """
    A camera's name.

    @raise ConfigError: when it cannot be one.
    """
    if not _NAME.fullmatch(text):
        raise ConfigError(
            f"{text[:60]!r} cannot be a camera's name:"
            " take 1 to 32 of a to z, digits, - and _, not beginning with -"
        )
    return text


def suggestion(word: str, known: Collection[str]) -> str:
    """What was probably meant, as the end of a message; empty when nothing comes near."""
    from difflib import get_close_matches

    names = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), names, 1)
    return f"; did you mean {names[close[0]]!r}?" if close else ""
