"""
C{trailcam doctor}: runs every check and tells what it found.

For a person: a line for each finding, and under it how to mend it. For a
program: a JSON object on each line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from trailcam import checks
from trailcam.checks import Check, Finding, Station
from trailcam.config import default_library, default_state, load
from trailcam.errors import ConfigError, LibraryError
from trailcam.notifychecks import check_notify
from trailcam.radiochecks import check_radio
from trailcam.webchecks import check_web

__all__ = ["Finding", "examine", "run"]

#: Everything that is checked, after C{tap.conf} itself.
CHECKS: tuple[Check, ...] = (*checks.CHECKS, check_notify, check_web, check_radio)

#: The C{tap.conf} that is meant when none is named.
HERE = Path("tap.conf")

#: A mark and the code of its colour, and the mark where only ASCII can be shown.
_MARKS = {
    "ok": ("✓", "32", "+"),
    "warning": ("!", "33", "!"),
    "problem": ("✗", "31", "x"),
}


def run(config_path: Path | None, *, as_json: bool, out: TextIO) -> int:
    """
    Check everything and tell.

    @param config_path: the C{tap.conf}; C{None} for the one in this folder, if there is one.
    @param as_json: one JSON object a line, instead of text for a person.
    @param out: where to tell.
    @return: the exit status: 2 when C{tap.conf} is wrong, 5 when the library or
        the state folder cannot be used, 1 for any other problem, else 0.
    """
    tell = _tell_json if as_json else _tell_text
    found = []
    for finding in examine(config_path):
        found.append(finding)
        tell(finding, out)
        out.flush()  # the next check may take a moment
    problems = [finding.name for finding in found if finding.status == "problem"]
    warnings = [finding.name for finding in found if finding.status == "warning"]
    if as_json:
        done = {"event": "done", "problems": len(problems), "warnings": len(warnings)}
        print(json.dumps(done), file=out)
    else:
        print(_summary(len(problems), len(warnings)), file=out)
    return _exit_status(problems)


def _exit_status(problems: list[str]) -> int:
    if "config" in problems:
        return ConfigError.exit_status
    if "library" in problems or "state" in problems:
        return LibraryError.exit_status
    return 1 if problems else 0


def examine(config_path: Path | None) -> Iterator[Finding]:
    """
    Everything that is found, C{tap.conf} first.

    @param config_path: as for L{run}.
    """
    station, findings = _read_config(config_path)
    yield from findings
    for check in CHECKS:
        try:
            yield from check(station)
        except Exception as error:  # a doctor who falls over helps nobody
            name = check.__name__.removeprefix("check_")
            text = f"this check itself failed: {type(error).__name__}: {error}"
            yield Finding(name, "problem", text, "please report this as a bug of trailcam")


def _read_config(path: Path | None) -> tuple[Station, list[Finding]]:
    config = None
    findings = []
    try:
        if path is not None or os.path.lexists(HERE):
            path = path or HERE
            config = load(path)
            cameras = ", ".join(camera.name for camera in config.cameras)
            findings.append(Finding("config", "ok", f"{path} names {cameras}"))
            for warning in config.warnings:
                text, _, mend = warning.partition(": ")
                findings.append(Finding("config", "warning", text, mend))
        else:
            findings.append(Finding("config", "warning", "no tap.conf here", "trailcam init"))
        library = config.library if config else default_library()
        state = config.state if config else default_state()
    except ConfigError as error:
        mend = "correct that; folders and ports are only checked then"
        return Station(None, None, None), [Finding("config", "problem", str(error), mend)]
    return Station(config, library, state), findings


def _tell_json(finding: Finding, out: TextIO) -> None:
    print(json.dumps({"event": "check", **asdict(finding)}), file=out)


def _tell_text(finding: Finding, out: TextIO) -> None:
    mark, colour, plain = _MARKS[finding.status]
    arrow = "→"
    if not _can_show(f"{mark}{arrow}", out):
        mark, arrow = plain, "->"
    if out.isatty() and not os.environ.get("NO_COLOR"):
        mark = f"\x1b[{colour}m{mark}\x1b[0m"
    _print(f"{mark} {finding.name:<9} {finding.text}", out)
    if finding.mend:
        _print(f"  {'':<9} {arrow} {finding.mend}", out)


def _can_show(text: str, out: TextIO) -> bool:
    try:
        text.encode(out.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _print(text: str, out: TextIO) -> None:
    """Print; what C{out} cannot show (a path may hold anything) is escaped."""
    encoding = out.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=out)


def _summary(problems: int, warnings: int) -> str:
    if not problems and not warnings:
        return "All is well."
    counts = [
        f"{number} {word}{'s' if number != 1 else ''}"
        for number, word in ((problems, "problem"), (warnings, "warning"))
        if number
    ]
    return f"{' and '.join(counts)}; what follows the arrow mends it."
