"""
The C{trailcam} command: what can be asked, and how it ends.

Nothing heavy is imported before a command needs it: C{--help} is instant.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from trailcam._version import __version__
from trailcam.errors import TrailcamError

__all__ = ["main"]

Run = Callable[[argparse.Namespace], int]

_EPILOG = """\
CAMERA is HOST[:PORT], a name from the configuration, or nothing to search for one.

exit status: 0 done, 1 some files failed or you said no, 2 wrong usage, 3 no camera answered,
             4 login refused, 5 library or state unusable, 130 interrupted
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
    _add_common(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in (_add_demo, _add_sync, _add_discover, _add_info, _add_list, _add_live, _add_delete,
                _add_format, _add_snap, _add_send, _add_simulate, _add_decode, _add_init,
                _add_doctor, _add_rescan):  # fmt: skip
        add(commands)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, sub: bool = False) -> None:
    """Options that may stand before and after the command."""
    default = argparse.SUPPRESS if sub else None
    parser.add_argument("--config", type=Path, metavar="FILE", default=default,
                        help="read this tap.conf")  # fmt: skip
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS if sub else False,
                        help="one JSON object a line on standard output")  # fmt: skip
    parser.add_argument("-v", "--verbose", action="count",
                        default=argparse.SUPPRESS if sub else 0, help="log more")  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true",
                        default=argparse.SUPPRESS if sub else False,
                        help="log warnings only")  # fmt: skip


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, run: Run
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    _add_common(parser, sub=True)
    parser.set_defaults(run=run)
    return parser


def _client(function: str) -> Run:
    """A command that talks to a camera."""

    def run(arguments: argparse.Namespace) -> int:
        from trailcam import tasks

        return int(getattr(tasks, function)(arguments))

    return run


def _changing(function: str) -> Run:
    """A command that changes a camera's card."""

    def run(arguments: argparse.Namespace) -> int:
        from trailcam import cardtasks

        return int(getattr(cardtasks, function)(arguments))

    return run


def _add_connecting(parser: argparse.ArgumentParser, *, optional: bool = True) -> None:
    text = "HOST[:PORT], or a name from the configuration" + (", or nothing" if optional else "")
    parser.add_argument("camera", nargs="?" if optional else None, metavar="CAMERA", help=text)
    add = parser.add_argument
    add("--state", type=Path, metavar="DIR", help="where the source port is remembered")
    add("--timeout", type=_duration, metavar="S", help="for the connecting as a whole (90)")
    add("--local-port", type=_port, metavar="N", help="call from this source port, whatever is "
        "remembered")  # fmt: skip
    add("--interface", metavar="ADDR", help="our own address on the camera's network")
    _add_search(parser)
    add("--user", help="user name (admin)")
    add("--password-file", type=Path, metavar="FILE", help="its first line is the password; or set "
        "TRAILCAM_PASSWORD (admin)")  # fmt: skip


def _add_search(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--broadcast", metavar="ADDR", help="send the search to this address only")
    add("--search-port", type=_port, metavar="N", help="port for the search (32108)")


def _add_discover(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "discover", "list the cameras that answer", _client("discover"))
    parser.add_argument("--timeout", type=_duration, default=5.0, metavar="S",
                        help="how long to listen (5)")  # fmt: skip
    parser.add_argument("--interface", metavar="ADDR", help="our own address to search from")
    parser.add_argument("--state", type=Path, metavar="DIR", help="where source ports are "
                        "remembered")  # fmt: skip
    _add_search(parser)


def _add_info(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "show what a camera says of itself: battery, card, firmware"
    _add_connecting(_command(commands, "info", text, _client("info")))


def _add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _add_connecting(_command(commands, "list", "list the media on the card", _client("list_media")))


def _add_sync(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "sync", "bring home what is new", _client("sync"))
    _add_connecting(parser)
    parser.add_argument("--library", type=Path, metavar="DIR", help="where the pictures go")


def _add_live(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "live", "record the live view", _client("live"))
    _add_connecting(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.h264",
                        help="where the H.264 stream goes")  # fmt: skip
    parser.add_argument("--seconds", type=_duration, metavar="S", help="stop after S seconds; "
                        "otherwise Ctrl-C does")  # fmt: skip


def _add_send(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "send any command and print the answer"
    parser = _command(commands, "send", text, _client("send"))
    _add_connecting(parser, optional=False)
    parser.add_argument("request", metavar="JSON", help="""like '{"cmdId": 512}'""")
    parser.add_argument("--yes", action="store_true", help="also what changes or erases something")


def _add_delete(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "delete pictures from the camera's card, after asking"
    parser = _command(commands, "delete", text, _changing("delete"))
    _add_connecting(parser, optional=False)
    parser.add_argument("which", nargs="+", metavar="WHICH", help="names as `trailcam list` shows "
        "them, like 'photo 100-0318', or 100/318; or all-at-home: all of which a whole copy is in "
        "the library")  # fmt: skip
    _add_confirming(parser)


def _add_format(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "erase the camera's whole card, after asking"
    parser = _command(commands, "format", text, _changing("format_card"))
    _add_connecting(parser, optional=False)
    _add_confirming(parser)


def _add_confirming(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--library", type=Path, metavar="DIR", help="where copies may be")
    parser.add_argument("--yes", action="store_true", help="do not ask; needed without a terminal")


def _add_snap(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "have the camera take a photo now (not tried on a real camera yet)"
    _add_connecting(_command(commands, "snap", text, _changing("snap")), optional=False)


def _add_decode(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from trailcam import decode

        if arguments.json and isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # each line is there at once
        return decode.run(arguments.file, as_json=arguments.json, out=sys.stdout)

    text = "show a capture (pcap, pcapng or JSON lines) as readable text"
    _command(commands, "decode", text, run).add_argument("file", type=Path, metavar="FILE")


def _add_init(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from trailcam import firststeps

        path = arguments.config or Path("tap.conf")
        firststeps.run(path, assume_yes=arguments.yes, out=sys.stderr if arguments.json
                       else sys.stdout)  # fmt: skip
        if arguments.json:
            from trailcam.console import Console

            Console(True).event("done", path=str(path))
        return 0

    parser = _command(commands, "init", "write a first tap.conf from a few questions", run)
    parser.add_argument("--yes", action="store_true", help="take every default")


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from trailcam import doctor

        return doctor.run(arguments.config, as_json=arguments.json, out=sys.stdout)

    _command(commands, "doctor", "check what a newcomer trips over, and say how to mend it", run)


def _add_rescan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "rebuild the library's index from its files"
    parser = _command(commands, "rescan", text, _client("rescan"))
    parser.add_argument("--library", type=Path, metavar="DIR", help="the library")


def _add_simulate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from trailcam.simulator import command

        return command.simulate(arguments)

    parser = _command(commands, "simulate", "be a camera, until interrupted", run)
    add = parser.add_argument
    add("--interface", default="127.0.0.1", metavar="A", help="our address (127.0.0.1)")
    add("--port", type=_port_or_any, default=40611, metavar="N", help="session port (40611)")
    add("--search-port", type=_port_or_any, default=32108, metavar="N",
        help="where it hears the search (32108); 0: nowhere")  # fmt: skip
    add("--photos", type=_count, default=20, metavar="N", help="on the card (20)")
    add("--videos", type=_count, default=2, metavar="N", help="on the card (2)")
    add("--firewall", choices=("strict", "session", "off"), default="strict",
        help="whom it answers: only the port that opened the session, until CLOSE or a restart "
        "(strict); or until the session ends (session); or everybody (off)")  # fmt: skip
    add("--seed", type=_count, default=0, metavar="N", help="of all that is random (0)")
    _add_sleep(parser)
    _add_faults(parser)


def _add_sleep(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sleep", "A camera that is woken over Bluetooth and opens a "
        "network, both on a D-Bus of its own; needs dbus-daemon and the extra radio.")  # fmt: skip
    add = group.add_argument
    add("--asleep", action="store_true", help="be asleep until woken, and again after CLOSE")
    add("--boot", type=_seconds, default=1.0, metavar="S", help="from the wake-up until its "
        "network is there (1; real ones take 5 to 15)")  # fmt: skip
    add("--stay-awake", type=_duration, default=60.0, metavar="S", help="when nobody uses it (60)")
    add("--never-appears", action="store_true", help="fault: its network does not come")
    add("--bluetooth-name", default="KJK230_1234", metavar="NAME", help="(KJK230_1234)")
    add("--bluetooth-address", type=_hardware_address, default="C6:1E:0D:00:12:34",
        metavar="ADDRESS", help="(C6:1E:0D:00:12:34)")  # fmt: skip
    add("--ssid", default="KJK_1234", metavar="NAME", help="its network (KJK_1234)")
    add("--bssid", type=_hardware_address, default="02:00:00:00:12:34", metavar="ADDRESS",
        help="its radio's address (02:00:00:00:12:34)")  # fmt: skip
    add("--passphrase", default="12345678", metavar="TEXT", help="of its network (12345678); "
        "empty: an open one")  # fmt: skip


def _add_faults(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("faults").add_argument
    for name, text in (("loss", "get lost, each way"), ("duplicate", "come twice"),
                       ("reorder", "come 20 ms late")):  # fmt: skip
        add(f"--{name}", type=_share, default=0.0, metavar="P", help=f"share of datagrams that "
            f"{text} (0 to 1)")  # fmt: skip
    add("--silence", type=_seconds, default=0.0, metavar="S", help="fall silent for S seconds")
    add("--silence-after", type=_seconds, default=1.0, metavar="S", help="so long after the first "
        "session began (1)")  # fmt: skip
    for name, text in (("damaged-tails", "photos that end in wrong bytes"),
                       ("damaged-frames", "videos with a damaged frame"),
                       ("wrong-lengths", "photos whose header lies about the length")):  # fmt: skip
        add(f"--{name}", type=_count, default=0, metavar="N", help=f"number of {text}")
    add("--refuse-login", action="store_true", help="accept no login")
    add("--evil-id", action="store_true", help="have an id that would be a bad file name")
    add("--sleep-after-close", action="store_true", help="answer nobody after CLOSE")
    add("--repeat-pages", action="store_true", help="answer every page of the list with the first")
    add("--without-ids", action="store_true", help="leave mediaId and mediaTime out of the list")


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from trailcam.simulator import command

        return command.demo(arguments)

    text = "see it work: a simulated camera, and its pictures brought home"
    parser = _command(commands, "demo", text, run)
    parser.add_argument("--stay", action="store_true", help="go on until interrupted")
    parser.add_argument("--folder", type=Path, default=Path("trailcam-demo"), metavar="DIR",
                        help="where the pictures go (trailcam-demo)")  # fmt: skip


def _number(text: str, convert: Callable[[str], float], low: float, high: float) -> float:
    try:
        value = convert(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
    return value


def _port(text: str) -> int:
    return int(_number(text, int, 1, 65535))


def _port_or_any(text: str) -> int:
    return int(_number(text, int, 0, 65535))


def _count(text: str) -> int:
    return int(_number(text, int, 0, 1_000_000))


def _hardware_address(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an address like 02:00:00:00:12:34")
    return text.upper()


def _seconds(text: str) -> float:
    return _number(text, float, 0.0, 86400.0)


def _duration(text: str) -> float:
    return _number(text, float, 0.1, 86400.0)


def _share(text: str) -> float:
    return _number(text, float, 0.0, 1.0)
