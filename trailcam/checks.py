"""
What C{trailcam doctor} checks: what a newcomer trips over, and how to mend it.

A check is a function from a L{Station} to its findings; L{CHECKS} lists them.
No check sends a datagram or leaves anything behind. They may block: no
reactor runs here.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

from trailcam.config import Config
from trailcam.networks import local_networks
from trailcam.target import ACCESS_POINT, Target

__all__ = ["CHECKS", "PACKAGES", "Check", "Finding", "Station", "Status"]

#: What trailcam cannot do without, as in C{setup.cfg}.
PACKAGES = ("twisted", "zope.interface", "automat", "attrs", "cryptography", "ifaddr", "pillow",
            "av", "rich", "dpkt", "cronsim", "tzdata")  # fmt: skip

#: Less than this many bytes free deserves a warning.
LITTLE_SPACE = 10**9
#: The receive buffer, in bytes, that 256 full datagrams fit in with room to spare.
RECEIVE_BUFFER = 1 << 20
#: A clock before this year was never set; the camera's clock is set by it.
FIRST_YEAR = 2025

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """
    What one check found.

    @ivar name: what was looked at, one word.
    @ivar status: C{ok}, C{warning} (it may work) or C{problem} (it will not).
    @ivar text: what there is, one line.
    @ivar mend: what to do about it, one line; C{None} when there is nothing to do.
    """

    name: str
    status: Status
    text: str
    mend: str | None = None


@dataclass(frozen=True)
class Station:
    """
    What the checks look at.

    @ivar config: what C{tap.conf} says; C{None} where there is none, or a wrong one.
    @ivar library: where the pictures go; C{None} when nobody can say.
    @ivar state: where is remembered what must not be forgotten; C{None} likewise.
    """

    config: Config | None
    library: Path | None
    state: Path | None

    @property
    def targets(self) -> list[Target]:
        """Where the cameras of C{tap.conf} are."""
        return [camera.target for camera in self.config.cameras] if self.config else []

    @property
    def hosts(self) -> list[str]:
        """The addresses that must be on a network of ours: each camera's, or its search's."""
        if self.config is None:
            return [ACCESS_POINT]
        # The network of the others is joined when they are visited.
        targets = [camera.target for camera in self.config.cameras if camera.wifi is None]
        wanted = [target.host or target.broadcast or ACCESS_POINT for target in targets]
        return list(dict.fromkeys(wanted))


Check = Callable[[Station], Iterator[Finding]]


def check_python(station: Station) -> Iterator[Finding]:
    """Which versions are these?"""
    from trailcam import __version__

    python = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("python", "ok", f"trailcam {__version__} on Python {python}")


def check_packages(station: Station) -> Iterator[Finding]:
    """Is everything installed that trailcam is built on?"""
    from importlib.metadata import PackageNotFoundError, version

    found, missing = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        mend = f"{shlex.quote(sys.executable)} -m pip install {' '.join(missing)}"
        yield Finding("packages", "problem", f"not installed: {', '.join(missing)}", mend)
    else:
        yield Finding("packages", "ok", ", ".join(found))


def check_folders(station: Station) -> Iterator[Finding]:
    """Can the library and the state folder be written, and is there room?"""
    if station.library:
        yield _folder("library", station.library)
    if station.state:
        yield _folder("state", station.state)


def _folder(name: str, folder: Path) -> Finding:
    """Write a file where the folder is, or where it will be made, and take it away again."""
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(there).free
    except OSError as error:
        mend = f"make {there} a folder that you can write, or set {name} in tap.conf"
        return Finding(name, "problem", f"{folder} cannot be written: {error.strerror}", mend)
    text = f"{folder}{'' if there == folder else ' (will be made)'}, {free / 1e9:.1f} GB free"
    if free < LITTLE_SPACE:
        mend = f"make room there, or set {name} in tap.conf to a folder on another disk"
        return Finding(name, "warning", text, mend)
    return Finding(name, "ok", text)


def check_tidy(station: Station) -> Iterator[Finding]:
    """What is deleted at home, and how much would it be now?"""
    if station.config is None or station.library is None:
        return
    if not (station.config.keep_free or station.config.keep_days):
        yield Finding("tidy", "ok", "pictures at home are kept for ever")
        return
    # Not before it is known that all is installed.
    from datetime import UTC

    from trailcam.errors import LibraryError
    from trailcam.library.index import index_path
    from trailcam.library.quota import Quota, read_plan

    quota = Quota(station.config.keep_free, station.config.keep_days)
    try:
        media = read_plan(station.library, quota, datetime.now(UTC))
    except LibraryError as error:
        if not index_path(station.library).is_file():
            yield Finding("tidy", "ok", f"{quota}: {error}")
        else:
            mend = "nothing is deleted until then; a damaged index is mended by `trailcam rescan`"
            yield Finding("tidy", "warning", f"{quota}: {error}", mend)
        return
    size = sum(medium.size for medium in media) / 1e6
    text = f"{quota}: {len(media)} files ({size:.1f} MB) would be deleted after the next visit"
    if media:
        yield Finding("tidy", "warning", text, "`trailcam tidy --dry-run` shows which")
    else:
        yield Finding("tidy", "ok", text)


def check_ports(station: Station) -> Iterator[Finding]:
    """Are the ports free that cameras know us by?"""
    known = {target.local_port: target.key for target in station.targets if target.local_port}
    folder = station.state / "ports" if station.state else None
    for file in sorted(folder.glob("*.json")) if folder else ():
        if (entry := _remembered(file)) is None:
            text = f"{file} is damaged, so its camera will see a new port"
            yield Finding("ports", "warning", text, f"rm {shlex.quote(str(file))}")
        else:
            known.setdefault(*entry)
    for port, name in known.items():
        yield _port(port, name)
    if folder and not known:
        yield Finding("ports", "ok", "none remembered yet")


def _remembered(file: Path) -> tuple[int, str] | None:
    """The port in a file of the port memory, and whose; C{None} when it holds none."""
    try:
        with file.open("rb") as stream:
            entry = json.loads(stream.read(65536))
    except (OSError, ValueError, RecursionError):
        return None
    port = entry.get("port") if isinstance(entry, dict) else None
    if type(port) is not int or not 0 < port < 65536:
        return None
    camera = entry.get("camera")
    return port, camera if isinstance(camera, str) else file.stem


def _port(port: int, name: str) -> Finding:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("", port))
    except OSError as error:
        text = f"{port}, which {name} knows, cannot be used now: {error.strerror}"
        mend = f"fine if trailcam runs now; else end what `ss -ulpn sport = :{port}` shows"
        return Finding("ports", "warning", text, mend)
    return Finding("ports", "ok", f"{port}, which {name} knows, is free")


def check_buffer(station: Station) -> Iterator[Finding]:
    """Does the kernel give a receive buffer that a burst of pictures fits in?"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        with suppress(OSError):  # BSDs refuse what Linux trims
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        given = probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    if sys.platform == "linux":
        given //= 2  # it doubles what was asked, for its own book-keeping
    text = f"{given // 1024} KiB for datagrams that wait"
    if given >= RECEIVE_BUFFER:
        yield Finding("buffer", "ok", text)
        return
    mend = (
        f"echo net.core.rmem_max={RECEIVE_BUFFER} | sudo tee /etc/sysctl.d/90-trailcam.conf"
        " && sudo sysctl --system"
    )
    yield Finding("buffer", "warning", f"{text}: pictures may come slowly", mend)


def check_network(station: Station) -> Iterator[Finding]:
    """Is this computer on the network of its cameras?"""
    ours = local_networks()
    if not station.hosts:
        yield Finding("network", "ok", "every camera's is joined for its visits")
    for host in station.hosts:
        address = IPv4Address(host)
        found = [network for network in ours if address in network.address.network]
        if found or address.is_loopback:
            where = f"{found[0].interface} ({found[0].address})" if found else "this computer"
            yield Finding("network", "ok", f"{where} is on the network of {host}")
            continue
        what = "a camera's network" if host == ACCESS_POINT else f"the network of {host}"
        mend = "wake the camera and join its Wi-Fi (KJK_... or TrailCam_...)"
        yield Finding("network", "warning", f"not on {what}", mend)
    for target in station.targets:
        own = target.interface
        if own and own not in [str(network.address.ip) for network in ours]:
            mend = f"correct interface in [camera {target.key}], or leave it out"
            yield Finding("network", "warning", f"no interface has {own} now", mend)


def check_clock(station: Station) -> Iterator[Finding]:
    """Was the clock ever set?"""
    now = datetime.fromtimestamp(time.time()).astimezone()
    text = now.strftime("%Y-%m-%d %H:%M:%S")
    if now.year >= FIRST_YEAR:
        yield Finding("clock", "ok", text)
    else:
        mend = "sudo date -s '2025-12-31 23:59', or go online once; cameras are set by this clock"
        yield Finding("clock", "problem", f"{text} cannot be right", mend)


def check_zone(station: Station) -> Iterator[Finding]:
    """Does this computer know its time zone, for the clocks of the cameras?"""
    cameras = station.config.cameras if station.config else ()
    offset = datetime.fromtimestamp(time.time()).astimezone().strftime("%Z, UTC%z")
    if _zone_is_set():
        yield Finding("zone", "ok", offset)
    elif cameras and all(camera.zone for camera in cameras):
        yield Finding("zone", "ok", f"{offset}; tap.conf gives every camera its own")
    else:
        mend = "sudo timedatectl set-timezone Europe/Paris (yours), or set zone in tap.conf"
        yield Finding("zone", "warning", "none is known, so cameras are set to UTC", mend)


def _zone_is_set() -> bool:
    from zoneinfo import ZoneInfo

    name = os.environ.get("TZ")
    if name is None:
        return os.path.exists("/etc/localtime")
    try:
        ZoneInfo(name.removeprefix(":"))
    except (KeyError, ValueError, OSError):
        return "," in name or time.timezone != 0  # written out, as CET-1CEST
    return True


def check_video(station: Station) -> Iterator[Finding]:
    """Can videos be written?"""
    mend = f"{shlex.quote(sys.executable)} -m pip install --force-reinstall av"
    try:
        import av
    except ImportError as error:
        yield Finding("video", "problem", f"PyAV cannot be loaded: {error}", mend)
        return
    if "mp4" in av.formats_available:
        yield Finding("video", "ok", f"PyAV {av.__version__} writes MP4")
    else:
        yield Finding("video", "problem", f"PyAV {av.__version__} cannot write MP4", mend)


#: Everything that is checked, in this order, after C{tap.conf} itself.
CHECKS: tuple[Check, ...] = (
    check_python,
    check_packages,
    check_folders,
    check_tidy,
    check_ports,
    check_buffer,
    check_network,
    check_clock,
    check_zone,
    check_video,
)
