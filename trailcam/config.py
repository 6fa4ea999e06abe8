"""
C{tap.conf}: what a station is told about itself and its cameras.

L{trailcam.configkeys} says which keys there are. An empty value is the
default, as if the key were not there. What is wrong is refused in one line
that names file and line. Nothing here needs Twisted.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from configparser import (
    ConfigParser,
    DuplicateOptionError,
    DuplicateSectionError,
    MissingSectionHeaderError,
    ParsingError,
)
from dataclasses import dataclass, field, fields
from datetime import time, tzinfo
from pathlib import Path
from typing import Any

from trailcam.configkeys import EXTRAS, KEYS, check_name, check_value, suggestion
from trailcam.errors import ConfigError
from trailcam.schedule import Schedule
from trailcam.target import Policy, Target

__all__ = ["CameraConfig", "Config", "default_library", "default_state", "load", "parse"]

_LINE_END = re.compile(r"\r\n|\r|\n")
_SECTIONS = "[trailcam], [connection], [camera NAME], [web], [mqtt] and [webhook]"


@dataclass(frozen=True)
class CameraConfig:
    """
    One C{[camera NAME]} section.

    @ivar name: letters, digits, dash and underscore; unique whatever its capitals.
    @ivar target: where to call it.
    @ivar user: the name it is logged in with.
    @ivar password: the password to it.
    @ivar zone: the time zone of its clock; C{None} for the station's.
    @ivar interval: seconds from one visit to the next; 0 for only one, at the start. It does
        not count where there are C{times}.
    @ivar times: cron expressions, in the station's zone.
    @ivar quiet: from when to when no visit begins.
    @ivar jitter: seconds by which a visit may begin late.
    @ivar battery_floor: percent below which visits are rarer; 0 for never.
    @ivar wake: what to wake over Bluetooth before a visit: an address, how a name begins, or
        empty for the first that looks like a camera; C{None}: it is awake.
    @ivar wifi: the Wi-Fi device with which to join its network, empty for any; C{None}: it is
        reached over a network that we are in.
    @ivar network: its name, where the camera does not tell it, being awake.
    @ivar network_password: the passphrase to it.
    @ivar budget: so many seconds a visit may take.
    @ivar live_limit: after so many seconds a live view is ended, whoever watches.
    @ivar after_visit: C{keep} or C{delete}: what becomes of the pictures on the card that are
        safe at home.
    @ivar battery_low: below so many percent it is told; 0 for never.
    @ivar card_low: when less MB are free on the card it is told; 0 for never.
    """

    name: str
    target: Target
    user: str = "admin"
    password: str = field(default="admin", repr=False)
    zone: tzinfo | None = None
    interval: float = 3600.0
    times: tuple[str, ...] = ()
    quiet: tuple[time, time] | None = None
    jitter: float = 0.0
    battery_floor: int = 0
    wake: str | None = None
    wifi: str | None = None
    network: str | None = None
    network_password: str = field(default="", repr=False)
    budget: float = 900.0
    live_limit: float = 600.0
    after_visit: str = "keep"
    battery_low: int = 20
    card_low: int = 500

    @property
    def repeats(self) -> bool:
        """Whether it is visited again and again, and not only at the start."""
        return bool(self.interval or self.times)

    @property
    def schedule(self) -> Schedule:
        """
        When to visit it.

        @raise ConfigError: when it is none, which L{load} has made sure of.
        """
        return Schedule(
            0.0 if self.times else self.interval,
            self.times,
            self.quiet,
            self.jitter,
            self.battery_floor,
            seed=self.name,
        )


@dataclass(frozen=True)
class Config:
    """
    A whole C{tap.conf}; its paths are absolute.

    @ivar library: where the pictures go.
    @ivar state: what is remembered from one start to the next.
    @ivar log_level: C{debug}, C{info}, C{warn} or C{error}.
    @ivar metrics_file: where metrics for Prometheus are written to; C{None}: nowhere.
    @ivar policy: how patiently cameras are called.
    @ivar cameras: at least one, in the order of the file.
    @ivar extras: the values of those of the other sections that are there, by section: what is
        not there is not wanted. L{trailcam.configkeys.EXTRAS} says which there are.
    @ivar keep_free: so many MB are kept free on the library's disk; 0: does not matter.
    @ivar keep_days: so many days a picture stays in the library; 0: for ever.
    @ivar warnings: what is allowed but unwise, a line each; after a colon, how to mend it.
    """

    library: Path
    state: Path
    log_level: str
    policy: Policy
    cameras: tuple[CameraConfig, ...]
    extras: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    metrics_file: Path | None = None
    keep_free: int = 0
    keep_days: int = 0


class _Parser(ConfigParser):
    """Takes C{after-visit} for C{after_visit}, and capitals for small letters."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr.strip().lower().replace("-", "_")


class _Source:
    """
    The text of one file, and what is to be said about it.

    @ivar name: the file's name, for messages.
    @ivar folder: what relative paths are relative to.
    @ivar open_to_all: whether every user of the computer can read it.
    @ivar warnings: what was unwise so far.
    """

    def __init__(self, text: str, name: str, open_to_all: bool) -> None:
        self.name = name
        self.folder = Path(name).absolute().parent
        self.open_to_all = open_to_all
        self.warnings: list[str] = []
        # Stripped, so that "# key = x" is a key as soon as the # is gone, blank or not,
        # and not the continuation of the line before.
        self._lines = [line.strip() for line in _LINE_END.split(text.removeprefix("\ufeff"))]
        self._parser = self._parse()
        self._where = self._scan()

    def _parse(self) -> ConfigParser:
        parser = _Parser(interpolation=None, strict=True, default_section="")
        try:
            parser.read_file(self._lines)
        except DuplicateSectionError as error:
            raise self.wrong(error.lineno, f"there is a second [{error.section}]") from None
        except DuplicateOptionError as error:
            message = f"there is a second {error.option!r} in [{error.section}]"
            raise self.wrong(error.lineno, message) from None
        except MissingSectionHeaderError as error:
            message = "a section must come first, like [trailcam] or [camera NAME]"
            raise self.wrong(error.lineno, message) from None
        except ParsingError as error:  # the line is not shown: it may hold a password
            message = "this is neither a comment nor [section] nor key = value"
            raise self.wrong(error.errors[0][0], message) from None
        return parser

    def _scan(self) -> dict[tuple[str, str], int]:
        """The line of every key and, under the key C{""}, of every section."""
        where: dict[tuple[str, str], int] = {}
        section = ""
        for number, line in enumerate(self._lines, 1):
            if match := ConfigParser.SECTCRE.match(line):
                section = match["header"]
                where[section, ""] = number
            elif match := ConfigParser.OPTCRE.match(line):
                where[section, self._parser.optionxform(match["option"])] = number
        return where

    def sections(self) -> list[str]:
        """The names of all sections, in order."""
        return self._parser.sections()

    def line(self, section: str, key: str = "") -> int:
        """The line of a section or of one of its keys."""
        return self._where[section, key]

    def wrong(self, line: int | None, message: str) -> ConfigError:
        """The error for one line; what it quotes of the file cannot garble a terminal."""
        shown = "".join(sign if sign.isprintable() else "?" for sign in message[:400])
        return ConfigError(f"{self.name}, line {line}: {shown}")

    def warn(self, section: str, path: Path) -> None:
        """Warn of a password in a file that every user of the computer can read."""
        mend = f"chmod o-r {shlex.quote(str(path))}"
        self.warnings.append(f"every user can read the password of [{section}]: {mend}")

    def values(self, section: str, kind: str) -> dict[str, Any]:
        """
        The values of one section that are not empty.

        @raise ConfigError: for the first key or value that is wrong.
        """
        values = {}
        for key, text in self._parser.items(section):
            line = self.line(section, key)
            if key not in KEYS[kind]:
                raise self.wrong(line, f"{key!r} is not a key of [{section}]{_hint(key, kind)}")
            try:
                value = check_value(kind, key, text)
            except ConfigError as error:
                raise self.wrong(line, str(error)) from None
            if value is not None:
                values[key] = self.folder / value if isinstance(value, Path) else value
        return values


def _hint(key: str, kind: str) -> str:
    """What to do about a key that its section does not have."""
    for other, keys in KEYS.items():
        if key in keys:
            return f"; it belongs to [{'camera NAME' if other == 'camera' else other}]"
    return suggestion(key, KEYS[kind]) or f", which has {', '.join(KEYS[kind])}"


def _cameras(source: _Source) -> tuple[CameraConfig, ...]:
    """All the C{[camera NAME]} sections; every other section must be a known one."""
    cameras: dict[str, CameraConfig] = {}
    ports: dict[int, str] = {}
    for section in source.sections():
        name = _camera_name(source, section)
        if name is None:
            continue
        if name.lower() in cameras:
            message = f"there is a second camera {name!r}; capitals make no difference"
            raise source.wrong(source.line(section), message)
        camera = cameras[name.lower()] = _camera(source, section, name)
        port = camera.target.local_port
        if port is not None and ports.setdefault(port, name) != name:
            message = f"local_port {port} is taken by [camera {ports[port]}]; choose another"
            raise source.wrong(source.line(section, "local_port"), message)
    if sum(camera.wake == "" for camera in cameras.values()) > 1:
        source.warnings.append(
            "several cameras have wake = yes, and whichever is seen first is woken for each: give "
            "their Bluetooth addresses, as trailcam scan shows them"
        )
    if not cameras:
        raise ConfigError(f"{source.name} names no camera: add a line [camera garden]")
    return tuple(cameras.values())


def _camera_name(source: _Source, section: str) -> str | None:
    """The camera that a section is about; C{None} for the other known sections."""
    if section in KEYS and section != "camera":
        return None
    kind, _, name = section.strip().partition(" ")
    line = source.line(section)
    if kind != "camera":
        hint = suggestion(kind, KEYS) or f"; there are {_SECTIONS}"
        raise source.wrong(line, f"[{section}] is not a section{hint}")
    if not name.strip():
        raise source.wrong(line, "the camera needs a name, like [camera garden]")
    try:
        return check_name(name.strip())
    except ConfigError as error:
        raise source.wrong(line, str(error)) from None


def _camera(source: _Source, section: str, name: str) -> CameraConfig:
    values = source.values(section, "camera")
    host, port = values.pop("address", (None, None))
    where = {one.name: values.pop(one.name) for one in fields(Target) if one.name in values}
    if "interval" in values and "times" in values:
        raise source.wrong(source.line(section, "times"), "give interval or times, not both")
    for minutes in {"interval", "jitter", "budget", "live_limit"} & set(values):
        values[minutes] *= 60
    if "password_file" in values:
        if "password" in values:
            message = "give password or password_file, not both"
            raise source.wrong(source.line(section, "password_file"), message)
        values["password"] = _password(source, section, "password_file", values)
    elif "password" in values and source.open_to_all:
        source.warn(section, Path(source.name))
    if "network_password_file" in values:
        values["network_password"] = _password(source, section, "network_password_file", values)
    _check_radio(source, section, values)
    return CameraConfig(name, Target(host=host, port=port, name=name, **where), **values)


def _check_radio(source: _Source, section: str, values: dict[str, Any]) -> None:
    """Whether it is known which network is to be joined."""
    wake, wifi = values.get("wake"), values.get("wifi")
    if wifi is not None and wake is None and "network" not in values:
        message = "either wake = yes, and the camera tells its network, or give its network"
        raise source.wrong(source.line(section, "wifi"), message)
    if "network" in values and (wifi is None or wake is not None):
        why = "of no use: a woken camera tells its own" if wake is not None else "not joined"
        source.warnings.append(f"the network of [{section}] is {why}")
    if wake and ":" not in wake and not wake.startswith(("KJK", "TrailCam")):
        source.warnings.append(
            f"[{section}] wakes what has a Bluetooth name that begins with {wake}, while such "
            "cameras are called KJK… or TrailCam…: trailcam scan"
        )


def _password(source: _Source, section: str, key: str, values: dict[str, Any]) -> str:
    """The first line of a password file, which is taken out of C{values}."""
    line = source.line(section, key)
    path: Path = values.pop(key)
    try:
        with path.open(encoding="utf-8") as file:
            password = file.readline(1024).rstrip("\r\n")
            if os.fstat(file.fileno()).st_mode & 0o004:
                source.warn(section, path)
    except OSError as error:
        message = f"{key} {path} cannot be read: {error.strerror}"
        raise source.wrong(line, message) from None
    except UnicodeDecodeError:
        raise source.wrong(line, f"{key} {path} is not UTF-8 text") from None
    if not password:
        raise source.wrong(line, f"{key} {path} has no password in its first line")
    return password


def _extra(source: _Source, name: str) -> dict[str, Any]:
    """The values of a section that switches something on, with its secrets instead of files."""
    values = source.values(name, name)
    for key in {"password_file", "token_file"} & set(values):
        values[key.removesuffix("_file")] = _password(source, name, key, values)
    return values


def _config(source: _Source) -> Config:
    cameras = _cameras(source)
    sections = source.sections()
    station = source.values("trailcam", "trailcam") if "trailcam" in sections else {}
    policy = source.values("connection", "connection") if "connection" in sections else {}
    return Config(
        library=station.get("library") or default_library(),
        state=station.get("state") or default_state(),
        log_level=station.get("log_level", "info"),
        policy=Policy(**policy),
        cameras=cameras,
        extras={name: _extra(source, name) for name in EXTRAS if name in sections},
        warnings=tuple(source.warnings),
        metrics_file=station.get("metrics_file"),
        keep_free=station.get("keep_free", 0),
        keep_days=station.get("keep_days", 0),
    )


def parse(text: str, name: str) -> Config:
    """
    Read the text of a C{tap.conf}.

    @param name: its file's name: for messages, and relative paths start at its folder.
    @raise ConfigError: for whatever is wrong first.
    """
    return _config(_Source(text, name, open_to_all=False))


def load(path: Path) -> Config:
    """
    Read a C{tap.conf}.

    @raise ConfigError: when it cannot be read, or for whatever is wrong in it first.
    """
    try:
        raw = path.read_bytes()
        open_to_all = bool(path.stat().st_mode & 0o004)
    except FileNotFoundError:
        raise ConfigError(f"there is no {path}: `trailcam init` writes one") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder: name the file in it") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8 text: save it as UTF-8") from None
    return _config(_Source(text, str(path), open_to_all))


def default_library() -> Path:
    """
    Where the pictures go unless C{tap.conf} says otherwise.

    @raise ConfigError: when there is no home folder.
    """
    service = _service_state()
    return service / "library" if service else _home() / "Pictures" / "trailcam"


def default_state() -> Path:
    """
    Where the station's memory is unless C{tap.conf} says otherwise.

    @raise ConfigError: when there is no home folder.
    """
    if service := _service_state():
        return service
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    # A relative one is to be ignored, says the XDG specification.
    return (base if base.is_absolute() else _home() / ".local" / "state") / "trailcam"


def _service_state() -> Path | None:
    """The folder that systemd made for its service, if we are one."""
    first = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(first).absolute() if first else None


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise ConfigError("you have no home folder: set library and state in tap.conf") from None
