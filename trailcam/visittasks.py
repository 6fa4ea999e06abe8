"""What the commands do that visit cameras as the service does: visit, visits."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trailcam.calling import find_config
from trailcam.cameraservice import CameraService, LibraryService
from trailcam.config import CameraConfig, Config, default_library, load
from trailcam.console import (
    Console,
    ProgressBar,
    SyncTeller,
    human_bytes,
    human_seconds,
    start_logging,
)
from trailcam.errors import ConfigError, LibraryError, TrailcamError
from trailcam.library import Library
from trailcam.library.files import lock_path
from trailcam.library.quota import Quota
from trailcam.library.visits import Visit, read_visits
from trailcam.locks import Holder, who_holds
from trailcam.logs import make_logger
from trailcam.radio.station import Radios
from trailcam.runner import run
from trailcam.wishes import ask_for_visits

__all__ = ["visit", "visits"]

Arguments = argparse.Namespace

_log = make_logger(__name__)


def visit(arguments: Arguments) -> int:
    """Visit cameras now: wake, join, fetch, leave, one after the other."""
    config = _config(arguments)
    cameras = _chosen(config, arguments.cameras)
    service = _service_that_runs(config.library)
    if service is not None:
        return _ask(service, config, arguments.cameras, Console(arguments.json))
    bar = ProgressBar(not arguments.json and not arguments.quiet)
    start_logging(0 if arguments.quiet else min(2, 1 + arguments.verbose), lambda: bar.write)
    console = Console(arguments.json, bar)

    async def main(reactor: Any) -> int:
        radios = Radios(reactor, state=config.state)
        library = LibraryService(
            Library(config.library, reactor), Quota(config.keep_free, config.keep_days)
        )
        try:
            statuses = [
                await _visit(reactor, config, camera, library, radios, console, bar)
                for camera in cameras
            ]
        finally:
            bar.stop()
            await library.stopService()
            await radios.close()
        return max(statuses)

    return run(main)


async def _visit(
    reactor: Any,
    config: Config,
    camera: CameraConfig,
    library: LibraryService,
    radios: Radios,
    console: Console,
    bar: ProgressBar,
) -> int:
    """Visit one; its exit status."""
    teller = SyncTeller(console, bar)
    service = CameraService(
        reactor, camera, library, policy=config.policy, state=config.state, radios=radios,
        observer=teller, connected=teller.connected,
    )  # fmt: skip
    try:
        try:
            report = await service.visit()
        finally:
            await service.stopService()
    except BaseException as error:
        teller.unfinished()
        if not isinstance(error, TrailcamError) or isinstance(error, LibraryError):
            raise
        _log.error("{name}: {why}", name=camera.name, why=str(error))
        console.event("unvisited", camera=camera.name, reason=str(error))
        return error.exit_status
    cleared = {"cleared": report.cleared} if camera.after_visit == "delete" else {}
    return teller.done(report, camera=camera.name, **cleared)


def visits(arguments: Arguments) -> int:
    """Show the last visits."""
    config, console = find_config(arguments, always=True), Console(arguments.json)
    library = arguments.library or (config.library if config else default_library())
    found = read_visits(library, arguments.camera, arguments.last)
    for each in reversed(found):
        console.event("visit", _line(each), **_fields(each))
    if not found:
        who = f" to {arguments.camera}" if arguments.camera else ""
        console.event("none", f"no visit{who} is written down in {library}")
    return 0


def _line(visit: Visit) -> str:
    """A line that tells how one went; below it why, and the seconds of its phases."""
    began = visit.began.astimezone().strftime("%Y-%m-%d %H:%M")
    parts = [f"{began}  {visit.camera}  {visit.outcome}"]
    if visit.outcome == "ok" or visit.new:
        failed = f", {visit.failed} failed" if visit.failed else ""
        parts.append(f"{visit.new} new{failed}, {human_bytes(visit.bytes)}")
    if visit.awake:
        share = visit.transferring / visit.awake
        parts.append(f"awake {human_seconds(visit.awake)}, {share:.0%} of it transferring")
    if visit.battery is not None:
        parts.append(f"battery {visit.battery} %")
    phases = ", ".join(f"{name} {spent:.1f}" for name, spent in visit.phases.items())
    return "\n    ".join(filter(None, ("  ".join(parts), visit.why, phases)))


def _fields(visit: Visit) -> dict[str, Any]:
    fields = {name: value for name, value in vars(visit).items() if name != "phases"}
    fields |= {name: getattr(visit, name).isoformat() for name in ("began", "ended")}
    return {**fields, "phases": dict(visit.phases)}


def _config(arguments: Arguments) -> Config:
    path = arguments.config or Path("tap.conf")
    config = load(path)
    if arguments.library is not None:
        config = replace(config, library=arguments.library.absolute())
    if arguments.state is not None:
        config = replace(config, state=arguments.state.absolute())
    return config


def _chosen(config: Config, names: Sequence[str]) -> list[CameraConfig]:
    known = {camera.name: camera for camera in config.cameras}
    for name in names:
        if name not in known:
            raise ConfigError(f"{name!r} is not a camera of the configuration ({', '.join(known)})")
    return [known[name] for name in dict.fromkeys(names)] or list(config.cameras)


def _service_that_runs(library: Path) -> Holder | None:
    """The C{twistd} that has the library, if one does."""
    try:
        holder = who_holds(lock_path(library))
    except OSError:
        return None  # to open it will tell more
    return holder if holder is not None and holder.program == "twistd" else None


def _ask(service: Holder, config: Config, names: Sequence[str], console: Console) -> int:
    """Have the service that runs make the visit."""
    try:
        if service.pid is None or not _listens(service.pid):
            raise LibraryError(
                f"the library is in use by {service}, which cannot be asked to visit: stop it"
            )
        os.kill(service.pid, 0)  # before a note is left that nobody reads
        ask_for_visits(config.state, names)
        os.kill(service.pid, signal.SIGUSR1)
    except OSError as error:
        raise LibraryError(f"{service} cannot be asked to visit: {error.strerror}") from None
    whom = ", ".join(names) or "its cameras"
    console.event("asked", f"{service} was asked to visit {whom} now; `trailcam visits` tells how "
                  "that went", pid=service.pid)  # fmt: skip
    return 0


def _listens(pid: int) -> bool:
    """Whether a process has something to do when it gets SIGUSR1, or it would end it."""
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGUSR1 - 1) & 1)
