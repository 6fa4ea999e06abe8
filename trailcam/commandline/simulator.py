"""The commands that need no camera: demo and simulate."""

from __future__ import annotations

import argparse
from pathlib import Path

from trailcam.commandline.arguments import (
    Commands,
    command,
    count,
    duration,
    endpoint,
    hardware_address,
    port_or_any,
    seconds,
    share,
)

__all__ = ["add_simulator_commands"]


def add_simulator_commands(commands: Commands) -> None:
    """Add them."""
    for add in (_add_demo, _add_simulate):
        add(commands)


def _add_demo(commands: Commands) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from trailcam.simulator.demo import demo

        return demo(arguments)

    text = "see it work: a simulated camera, and its pictures brought home"
    parser = command(commands, "demo", text, run)
    add = parser.add_argument
    add("--stay", action="store_true", help="go on until interrupted, and show it in a browser")
    add("--web", type=endpoint, metavar="ENDPOINT",
        help="where the pages are, with --stay: a port, or HOST:PORT (127.0.0.1:8080)")  # fmt: skip
    add("--folder", type=Path, default=Path("trailcam-demo"), metavar="DIR",
        help="where the pictures go (trailcam-demo)")  # fmt: skip


def _add_simulate(commands: Commands) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from trailcam.simulator import command

        return command.simulate(arguments)

    parser = command(commands, "simulate", "be a camera, until interrupted", run)
    add = parser.add_argument
    add("--interface", default="127.0.0.1", metavar="A", help="our address (127.0.0.1)")
    add("--port", type=port_or_any, default=40611, metavar="N", help="session port (40611)")
    add("--search-port", type=port_or_any, default=32108, metavar="N",
        help="where it hears the search (32108); 0: nowhere")  # fmt: skip
    add("--photos", type=count, default=20, metavar="N", help="on the card (20)")
    add("--videos", type=count, default=2, metavar="N", help="on the card (2)")
    add("--firewall", choices=("strict", "session", "off"), default="strict",
        help="whom it answers: only the port that opened the session, until CLOSE or a restart "
        "(strict); or until the session ends (session); or everybody (off)")  # fmt: skip
    add("--unit", default="C6:00:00:00:00:01", metavar="ID",
        help="its own id, by which its pictures are known (C6:00:00:00:00:01)")  # fmt: skip
    add("--seed", type=count, default=0, metavar="N", help="of all that is random (0)")
    _add_sleep(parser)
    _add_faults(parser)


def _add_sleep(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sleep", "A camera that is woken over Bluetooth and opens a "
        "network, both on a D-Bus of its own; needs dbus-daemon and the extra radio.")  # fmt: skip
    add = group.add_argument
    add("--asleep", action="store_true", help="be asleep until woken, and again after CLOSE")
    add("--boot", type=seconds, default=1.0, metavar="S", help="from the wake-up until its "
        "network is there (1; real ones take 5 to 15)")  # fmt: skip
    add("--stay-awake", type=duration, default=60.0, metavar="S", help="when nobody uses it (60)")
    add("--never-appears", action="store_true", help="fault: its network does not come")
    add("--bluetooth-name", default="KJK230_1234", metavar="NAME", help="(KJK230_1234)")
    add("--bluetooth-address", type=hardware_address, default="C6:1E:0D:00:12:34",
        metavar="ADDRESS", help="(C6:1E:0D:00:12:34)")  # fmt: skip
    add("--ssid", default="KJK_1234", metavar="NAME", help="its network (KJK_1234)")
    add("--bssid", type=hardware_address, default="02:00:00:00:12:34", metavar="ADDRESS",
        help="its radio's address (02:00:00:00:12:34)")  # fmt: skip
    add("--passphrase", default="12345678", metavar="TEXT", help="of its network (12345678); "
        "empty: an open one")  # fmt: skip


def _add_faults(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("faults").add_argument
    for name, text in (("loss", "get lost, each way"), ("duplicate", "come twice"),
                       ("reorder", "come 20 ms late")):  # fmt: skip
        add(f"--{name}", type=share, default=0.0, metavar="P", help=f"share of datagrams that "
            f"{text} (0 to 1)")  # fmt: skip
    add("--silence", type=seconds, default=0.0, metavar="S", help="fall silent for S seconds")
    add("--silence-after", type=seconds, default=1.0, metavar="S", help="so long after the first "
        "session began (1)")  # fmt: skip
    for name, text in (("damaged-tails", "photos that end in wrong bytes"),
                       ("damaged-frames", "videos with a damaged frame"),
                       ("wrong-lengths", "photos whose header lies about the length")):  # fmt: skip
        add(f"--{name}", type=count, default=0, metavar="N", help=f"number of {text}")
    add("--refuse-login", action="store_true", help="accept no login")
    add("--evil-id", action="store_true", help="have an id that would be a bad file name")
    add("--sleep-after-close", action="store_true", help="answer nobody after CLOSE")
    add("--repeat-pages", action="store_true", help="answer every page of the list with the first")
    add("--without-ids", action="store_true", help="leave mediaId and mediaTime out of the list")
