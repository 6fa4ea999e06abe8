"""
The C{trailcam} command: what can be asked, and how it ends.

Nothing heavy is imported before a command needs it: C{--help} is instant.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from trailcam._version import __version__
from trailcam.commandline.access import add_access_commands
from trailcam.commandline.arguments import Run, add_common
from trailcam.commandline.camera import add_camera_commands
from trailcam.commandline.card import add_card_commands
from trailcam.commandline.files import add_file_commands
from trailcam.commandline.radio import add_radio_commands
from trailcam.commandline.simulator import add_simulator_commands
from trailcam.errors import TrailcamError

__all__ = ["main"]

_EPILOG = """\
CAMERA is HOST[:PORT], a name from the configuration, or nothing to search for one.

exit status: 0 done, 1 some files failed or you said no, 2 wrong usage, 3 no camera answered,
             4 login refused, 5 library unusable, 6 not woken or not joined, 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    @param argv: the arguments, without the program's name; C{None} for the process's own.
    @return: the exit status.
    """
    _open_missing_streams()
    if argv is None:
        # SIGTERM ends a command as Ctrl-C does.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(argv)
    except TrailcamError as error:
        return _complain(str(error), error.exit_status)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1  # whoever read our output has gone
    except OSError as error:
        where = f" {error.filename}" if error.filename else ", or what it is sent to"
        return _complain(f"cannot write{where}: {error.strerror or error}", 1)
    except Exception as error:
        if os.environ.get("TRAILCAM_DEBUG"):
            raise
        text = f"internal error, please report it: {type(error).__name__}: {error}"
        return _complain(f"{text} (TRAILCAM_DEBUG=1 shows more)", 1)
    finally:
        _flush()


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    run: Run | None = getattr(arguments, "run", None)
    if run is None:
        parser.print_help(sys.stderr)
        return 2
    return run(arguments)


def _complain(text: str, status: int) -> int:
    with suppress(OSError):  # nobody may be reading
        print(f"trailcam: {' '.join(text.split())}", file=sys.stderr)
    return status


def _open_missing_streams() -> None:
    """Where we were started without one, lest the next file opened take its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, "w" if number else "r")  # noqa: SIM115 (as long as we live)
            if stream.fileno() != number:
                os.dup2(stream.fileno(), number)
            setattr(sys, name, stream)


def _flush() -> None:
    """Do not let Python complain at exit that nobody reads any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trailcam",
        description="Brings home the pictures of Wi-Fi trail cameras, without the phone app.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"trailcam {__version__}")
    add_common(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in (add_camera_commands, add_radio_commands, add_card_commands, add_file_commands,
                add_access_commands, add_simulator_commands):  # fmt: skip
        add(commands)
    return parser
