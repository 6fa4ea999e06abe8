"""What the commands that talk to a camera do."""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError

from trailcam.calling import Call, find_config, make_call
from trailcam.client import Camera
from trailcam.commands import CHANGING, DeviceInformation, MediaFile, clean
from trailcam.config import default_library, default_state
from trailcam.console import (
    Console,
    ProgressBar,
    SyncTeller,
    start_logging,
    where_is,
)
from trailcam.discovery import Discovery, Found, plan
from trailcam.errors import (
    CommandFailed,
    ConfigError,
    DecodeError,
    LibraryError,
    NoCameraAnswered,
)
from trailcam.library import Library
from trailcam.library.sync import sync as sync_library
from trailcam.portmemory import PortMemory
from trailcam.protocol import CameraProtocol
from trailcam.runner import run
from trailcam.target import Target
from trailcam.wire import pppp

__all__ = [
    "discover",
    "info",
    "list_media",
    "rescan",
    "send",
    "sync",
    "verbosity",
    "wall_time",
    "with_camera",
]

Arguments = argparse.Namespace


# -- the frame around every command ----------------------------------------


def verbosity(arguments: Arguments, usual: int = 1) -> int:
    """How much is logged: see L{start_logging}."""
    return 0 if arguments.quiet else min(2, usual + arguments.verbose)


def with_camera(
    arguments: Arguments, work: Callable[[Any, Camera, Call, Console], Awaitable[int]]
) -> int:
    """Connect, log in, do C{work}, and say goodbye."""
    call, console = make_call(arguments), Console(arguments.json)
    start_logging(verbosity(arguments))

    async def main(reactor: Any) -> int:
        camera = call.camera(reactor)
        try:
            await camera.connect()
            await camera.login()
            return await work(reactor, camera, call, console)
        finally:
            await camera.close()

    return run(main)


# -- the commands ----------------------------------------------------------


def discover(arguments: Arguments) -> int:
    """List the cameras that answer."""
    config, console = find_config(arguments), Console(arguments.json)
    start_logging(verbosity(arguments))
    target = Target(
        interface=arguments.interface or "",
        broadcast=arguments.broadcast,
    )
    if arguments.search_port:
        target = replace(target, search_port=arguments.search_port)
    state = arguments.state or (config.state if config else default_state())
    found: dict[tuple[str, int], Found] = {}

    def tell(camera: Found) -> None:
        if camera.address not in found:
            found[camera.address] = camera
            ident = str(camera.device_id)
            try:
                console.event("camera", f"{camera}  {ident}", camera=str(camera), device_id=ident)
            except OSError:  # nobody reads it: no reason to go on
                over.errback()

    over: Deferred[None] = Deferred()

    async def main(reactor: Any) -> int:
        protocol = _listen(reactor, target, state)
        discovery = Discovery(reactor, protocol, plan(target), tell)
        discovery.start()
        end = reactor.callLater(arguments.timeout, over.callback, None)
        try:
            await over
        finally:
            if end.active():
                end.cancel()
            discovery.stop()
            for address in found:
                # We open no session with them: nobody shall wait for us.
                protocol.send_to(pppp.encode(pppp.Close()), address)
            await protocol.close()
        if not found:
            raise NoCameraAnswered(
                "no camera answered. Is it awake, and is this machine on its Wi-Fi? A camera "
                "that remembers another source port must be switched off and on."
            )
        return 0

    return run(main)


def _listen(reactor: Any, target: Target, state: Path) -> CameraProtocol:
    """A socket for the search: on the port that a camera may remember, if it can be had."""
    ports = [0]
    with suppress(OSError, ValueError):
        remembered = PortMemory(state).recall(target.key)
        if remembered is not None:
            ports.insert(0, remembered.port)
    for port in ports:
        protocol = CameraProtocol(reactor)
        try:
            reactor.listenUDP(port, protocol, target.interface, 65536)
        except CannotListenError as error:
            reason = error.socketError.strerror
            continue
        return protocol
    raise ConfigError(f"cannot search from {target.interface or 'here'}: {reason}")


def info(arguments: Arguments) -> int:
    """Show what a camera says of itself."""

    async def work(reactor: Any, camera: Camera, call: Call, console: Console) -> int:
        information = await camera.info()
        where = where_is(camera)
        console.event("info", _describe(information, where),
                      **{**information.fields, "camera": where})  # fmt: skip
        return 0

    return with_camera(arguments, work)


def _describe(information: DeviceInformation, where: str) -> str:
    def known(value: int | None, unit: str) -> str:
        return "unknown" if value is None else f"{value}{unit}"

    free, total = information.card_free_mb, information.card_total_mb
    card = f"{free} MB free of {total} MB" if free is not None and total else "unknown"
    shown = {
        "battery": known(information.battery_percent, " %"),
        "card": card,
        "firmware": information.firmware or "unknown",
        "model": information.model or "unknown",
        "id": information.device_id or "unknown",
        "temperature": known(information.temperature, " °C"),
        "address": where,
    }
    rest = {
        name: str(clean(value))
        for name, value in information.fields.items()
        if isinstance(value, str | int | float) and name not in _SHOWN_ABOVE
    }
    width = max(map(len, shown))
    lines = [f"{name:<{width}}  {value}" for name, value in shown.items()]
    width = max(map(len, rest), default=0)
    lines += ["", *(f"  {clean(name):<{width}}  {value}" for name, value in rest.items())]
    return "\n".join(lines).rstrip()


_SHOWN_ABOVE = {"batPercent", "sdTotalMB", "sdFreeMB", "fwVerName", "modelName", "devId",
                "temperature", "result", "errorMsg", "cmdId"}  # fmt: skip


def list_media(arguments: Arguments) -> int:
    """List the media on the card."""

    async def work(reactor: Any, camera: Camera, call: Call, console: Console) -> int:
        count = 0
        async for file in camera.media():
            count += 1
            taken = wall_time(file)
            length = f"  {file.duration_ms / 1000:.0f} s" if file.duration_ms else ""
            console.event("media", f"{file.label:<15}  {taken or 'time unknown':<19}{length}",
                          type="photo" if file.is_photo else "video", fileType=file.file_type,
                          mediaDirNum=file.directory, mediaNum=file.number,
                          durationMs=file.duration_ms, mediaId=file.media_id,
                          mediaTime=file.media_time, time=taken)  # fmt: skip
        console.event("done", f"{count} on the card", count=count)
        return 0

    return with_camera(arguments, work)


def wall_time(file: MediaFile) -> str | None:
    """The camera's wall clock when it was taken."""
    if file.media_time is None:
        return None
    try:
        return datetime.fromtimestamp(file.media_time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return None


def send(arguments: Arguments) -> int:
    """Send any command and print the answer."""
    try:
        request = json.loads(arguments.request)
        code = request["cmdId"] if isinstance(request, dict) else None
    except (ValueError, KeyError, RecursionError):
        code = None
    if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 0xFFFF:
        raise ConfigError("""the command must be a JSON object with a cmdId, like {"cmdId": 512}""")
    if code in CHANGING and not arguments.yes:
        raise ConfigError(
            f"command {code} changes or erases something on the camera: add --yes to send it"
        )

    async def work(reactor: Any, camera: Camera, call: Call, console: Console) -> int:
        try:
            answer = await camera.send(request)
        except DecodeError as error:
            raise CommandFailed(f"the camera's answer makes no sense: {error}") from None
        if answer is None:
            console.value(None, "sent; the camera does not answer this one")
            return 0
        console.value(answer, json.dumps(answer, indent=2))
        return 0 if answer.get("result", 0) == 0 else 1

    return with_camera(arguments, work)


# -- sync ------------------------------------------------------------------


def sync(arguments: Arguments) -> int:
    """Bring home what is new."""
    call = make_call(arguments)
    bar = ProgressBar(not arguments.json and not arguments.quiet)
    start_logging(verbosity(arguments), lambda: bar.write)
    teller = SyncTeller(Console(arguments.json, bar), bar)

    async def main(reactor: Any) -> int:
        library = Library(call.library, reactor)
        # Before the camera is woken for nothing.
        await library.open()
        camera = call.camera(reactor)
        try:
            await camera.connect()
            teller.connected(camera)
            await camera.login()
            report = await sync_library(reactor, camera, library, teller, call.zone,
                                        clear=call.clear)  # fmt: skip
        except BaseException:
            teller.unfinished()
            raise
        else:
            return teller.done(report, **({"cleared": report.cleared} if call.clear else {}))
        finally:
            bar.stop()
            await camera.close()
            await library.close()

    return run(main)


def rescan(arguments: Arguments) -> int:
    """Rebuild a library's index from its files."""
    config, console = find_config(arguments, always=True), Console(arguments.json)
    path = arguments.library or (config.library if config else default_library())
    if not path.is_dir():
        raise LibraryError(f"there is no library at {path}")
    start_logging(verbosity(arguments))

    async def main(reactor: Any) -> int:
        library = Library(path, reactor)
        await library.open()
        try:
            report = await library.rescan()
            console.event("done", f"{report.added} added, {report.kept} known, {report.missing} "
                          f"deleted since, {report.skipped} passed over", added=report.added,
                          kept=report.kept, missing=report.missing,
                          skipped=report.skipped)  # fmt: skip
        finally:
            await library.close()
        return 0

    return run(main)
