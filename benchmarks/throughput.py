"""What a datagram costs on its way to a file or to a viewer, against receivers that do less."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from statistics import median

from benchmarks import material
from benchmarks.lines import LINES, Result
from benchmarks.processes import Broken, Json, Process

__all__ = ["NAMES", "measure"]

NAMES = ("download-cpu", "download-rate", "download-vs-aiopppp", "live-cpu")

#: A baseline that uses less of its core than this waited: for the sender, or for its turn.
BUSY = 0.6


def measure(
    names: set[str], quick: bool, *, profile: bool = False, one_by_one: bool = False
) -> Iterator[Result]:
    """
    Measure those of L{NAMES} that are wanted, in rounds in which each receiver has its turn.

    @param profile: print a profile of our receivers too.
    @param one_by_one: send every datagram by itself.
    """
    photos, rounds = (24, 3) if quick else (96, 5)
    datagrams = photos * material.PHOTO_DATAGRAMS
    orders: dict[str, Json] = {"bare": {"count": datagrams}}
    if names - {"live-cpu"}:
        orders["download"] = {"profile": profile}
    if "live-cpu" in names:
        orders["live"] = {"frames": datagrams // material.FRAME_DATAGRAMS, "profile": profile}
    rival_frames = datagrams // (8 if quick else 4) // material.FRAME_DATAGRAMS
    if "download-vs-aiopppp" in names:
        orders["rival"] = {"frames": rival_frames}
        if find_spec("aiopppp") is None:
            raise Broken("download-vs-aiopppp needs aiopppp: pip install 'trailcam[bench]'")
    options = {
        "files": photos,
        "frames": datagrams // material.FRAME_DATAGRAMS,
        "rival_frames": rival_frames + 1,
        "one_by_one": one_by_one,
    }
    seen = _rounds(orders, options, rounds)
    if profile:
        print(*(found[-1]["profile"] for found in seen.values() if "profile" in found[-1]))
    yield from _results(names, seen)


def _rounds(orders: dict[str, Json], options: Json, rounds: int) -> dict[str, list[Json]]:
    seen: dict[str, list[Json]] = {kind: [] for kind in orders}
    with contextlib.ExitStack() as stack:
        sender = stack.enter_context(Process("sender", **options))
        receivers = {kind: stack.enter_context(_receiver(kind)) for kind in orders}
        for receiver in receivers.values():
            assert receiver.ready is not None
        for _ in range(rounds):
            for kind, order in orders.items():
                command = {**order, "ports": sender.ready["ports"]}
                seen[kind].append(receivers[kind].ask("receive", **command))
    return seen


def _receiver(kind: str) -> Process:
    return Process("rival") if kind == "rival" else Process("receiver", kind=kind)


def _results(names: set[str], seen: dict[str, list[Json]]) -> Iterator[Result]:
    bare = seen["bare"]
    busy = median(each["cpu"] / each["seconds"] for each in bare)
    if busy < BUSY:
        print(f"the bare protocol used only {busy:.0%} of a core: this machine does other things, "
              "and datagrams per second mean little", file=sys.stderr)  # fmt: skip
    pairs: list[tuple[str, str, str, Callable[[Json], float], str]] = [
        ("download-cpu", "download", "bare", cost, "us a datagram"),
        ("download-rate", "download", "bare", rate, "datagrams/s"),
        ("download-vs-aiopppp", "download", "rival", rate, "datagrams/s"),
        ("live-cpu", "live", "bare", cost, "us a datagram"),
    ]
    for name, ours, theirs, number, unit in pairs:
        if name in names:
            yield _compare(name, seen[ours], seen[theirs], number, unit)


def _compare(
    name: str, ours: list[Json], theirs: list[Json], number: Callable[[Json], float], unit: str
) -> Result:
    """The median of the rounds' ratios."""
    value = median(number(a) / number(b) for a, b in zip(ours, theirs, strict=True))
    one, other = median(map(number, ours)), median(map(number, theirs))
    scale = 1e6 if number is cost else 1.0
    digits = 1 if number is cost else 0
    note = f"{one * scale:.{digits}f} {unit} against {other * scale:.{digits}f}"
    return Result(LINES[name], value, note)


def cost(found: Json) -> float:
    """Processor seconds a datagram."""
    return float(found["cpu"] / found["datagrams"])


def rate(found: Json) -> float:
    """Datagrams a second."""
    return float(found["datagrams"] / found["seconds"])
