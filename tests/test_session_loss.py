"""Ordered and complete on a bad link: properties of fates, and seeded simulations."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from tests.support import CAMERA, CLIENT, VirtualLink
from trailcam.session.events import Event, Opened, Received
from trailcam.wire.pppp import MAX_DRW_DATA

#: What may become of a datagram: how many milliseconds each copy takes; none is a loss.
FATE = st.lists(st.integers(1, 60), max_size=3)
FATES = st.lists(FATE, max_size=24)

Fate = Callable[[str, bytes], tuple[float, ...]]


def pattern(seed: int, size: int) -> bytes:
    """Bytes in which nothing can be missing, doubled or swapped unnoticed."""
    return Random(seed).randbytes(size)


def bad_air(seed: int, loss: float, reordering: float = 0.2, doubled: float = 0.1) -> Fate:
    """A link of 5 ms each way that loses, delays and doubles by chance, always the same."""
    chance = Random(seed)

    def fate(who: str, datagram: bytes) -> tuple[float, ...]:
        if chance.random() < loss:
            return ()
        late = chance.uniform(0.005, 0.030) if chance.random() < reordering else 0.0
        again = (0.010,) if chance.random() < doubled else ()
        return (0.005 + late, *again)

    return fate


class FateTests(TestCase):
    """Any fates of the first datagrams, then a good link."""

    @settings(deadline=None, max_examples=60)
    @given(FATES, st.integers(1, 20_000), st.integers(1, 20_000), st.integers(1, 20_000))
    def test_any_fates(self, fates: list[list[int]], login: int, photo: int, talk: int) -> None:
        """Three streams, both ways: every byte arrives, in order, exactly once."""
        coming = iter(fates)
        link = VirtualLink(silence=60.0).open()
        link.fate = lambda who, data: [ms / 1000 for ms in next(coming, [5])]
        streams = {(CAMERA, 0): login, (CLIENT, 3): photo, (CAMERA, 5): talk}
        for (to, channel), size in streams.items():
            link.send(CLIENT if to == CAMERA else CAMERA, channel, pattern(channel, size))
        link.run_until(
            lambda: all(len(link.received(*key)) >= size for key, size in streams.items())
        )
        link.run(1.0)
        for (to, channel), size in streams.items():
            self.assertEqual(link.received(to, channel), pattern(channel, size))

    @settings(deadline=None, max_examples=60)
    @given(FATES)
    def test_any_handshake(self, fates: list[list[int]]) -> None:
        """Whatever becomes of the first datagrams, both sides open once and can talk."""
        coming = iter(fates)
        link = VirtualLink(
            lambda who, data: [ms / 1000 for ms in next(coming, [5])], silence=60.0
        )
        link.send(CLIENT, 0, b"login")
        link.open()
        link.send(CAMERA, 0, b"welcome")
        link.run_until(lambda: link.received(CLIENT, 0) == b"welcome")
        link.run_until(lambda: link.received(CAMERA, 0) == b"login")
        self.assertEqual(link.told, {CLIENT: [Opened()], CAMERA: [Opened()]})


class SimulationTests(TestCase):
    """A photo each way at once, through air of known quality."""

    size = 250_000

    def transfer(self, fate: Fate) -> float:
        """
        Send down and up, and check both.

        @return: resends for each datagram of data.
        """
        link = VirtualLink().open()
        link.fate = fate
        down, up = pattern(1, self.size), pattern(2, self.size)
        link.send(CAMERA, 3, down)
        link.send(CLIENT, 5, up)
        streams = link.streams
        link.run_until(
            lambda: len(streams[CLIENT, 3]) == self.size == len(streams[CAMERA, 5]), 15.0
        )
        link.run(2.0)
        self.assertEqual(link.received(CLIENT, 3), down)
        self.assertEqual(link.received(CAMERA, 5), up)
        self.assertTrue(link.client.is_open and link.camera.is_open)
        resent = sum(session.statistics.resent for session in link.sides.values())
        return resent / (2 * self.size / MAX_DRW_DATA)

    def assert_bounded(self, loss: float) -> None:
        """
        Resends stay within twice what cannot be avoided, and some for what is only late.

        A datagram goes again when it or its acknowledgement is lost.
        """
        needed = 1 / (1 - loss) ** 2 - 1
        for seed in range(5):
            self.assertLess(self.transfer(bad_air(seed, loss)), 2 * needed + 0.4)

    def test_clean(self) -> None:
        """Nothing lost or late: nothing is sent twice."""
        self.assertEqual(self.transfer(bad_air(0, 0.0, reordering=0.0, doubled=0.0)), 0.0)

    def test_doubled(self) -> None:
        """Every datagram comes twice: nothing is sent twice on that account."""
        self.assertEqual(self.transfer(bad_air(0, 0.0, reordering=0.0, doubled=1.0)), 0.0)

    def test_reordered(self) -> None:
        """20 % come late by up to six round trips' worth, 10 % twice; none is lost."""
        self.assert_bounded(0.0)

    def test_loss_10(self) -> None:
        """The same, and 10 % are lost."""
        self.assert_bounded(0.1)

    def test_loss_30(self) -> None:
        """The same, and 30 % are lost."""
        self.assert_bounded(0.3)


class WrapTests(TestCase):
    """More than 65536 datagrams on one channel of a session."""

    def test_both_ways(self) -> None:
        """The index wraps in both directions, with some loss on the way; no byte is missed."""
        number = count()
        link = VirtualLink().open()
        link.fate = lambda who, data: () if next(number) % 997 == 0 else (0.005,)
        got = {CLIENT: 0, CAMERA: 0}

        def check(who: str) -> Callable[[Event], None]:
            def received(event: Event) -> None:
                if isinstance(event, Received):
                    for byte in event.data:
                        self.assertEqual(byte, got[who] % 251)
                        got[who] += 1
                    link.streams.clear()

            return received

        link.handlers = {CLIENT: check(CLIENT), CAMERA: check(CAMERA)}
        for first in range(0, 66_000, 1000):
            for each in range(first, first + 1000):
                for who in (CLIENT, CAMERA):
                    link.send(who, 2, b"%c" % (each % 251))
            link.run_until(lambda: min(got.values()) == first + 1000)  # noqa: B023
            link.sent.clear()
        self.assertEqual(got, {CLIENT: 66_000, CAMERA: 66_000})
        for session in link.sides.values():
            self.assertEqual(session.statistics.refused, 0)
