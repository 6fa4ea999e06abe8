"""Arithmetic of the 16-bit indexes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.session.sequence import advance, ahead

INDEXES = st.integers(0, 0xFFFF)


class SequenceTests(TestCase):
    """L{advance} and L{ahead}."""

    def test_wraps(self) -> None:
        """After 65535 comes 0, and it counts as one ahead."""
        self.assertEqual(advance(65535), 0)
        self.assertEqual(advance(65530, 10), 4)
        self.assertEqual(ahead(0, 65535), 1)
        self.assertEqual(ahead(65535, 0), -1)

    def test_halves(self) -> None:
        """Half of the circle is ahead, half behind: there is no index that is neither."""
        self.assertEqual(ahead(0x7FFF, 0), 0x7FFF)
        self.assertEqual(ahead(0x8000, 0), -0x8000)
        self.assertEqual(ahead(5, 5), 0)

    @settings(deadline=None)
    @given(INDEXES, st.integers(-0x8000, 0x7FFF))
    def test_inverse(self, base: int, distance: int) -> None:
        """L{ahead} takes back what L{advance} did, wherever on the circle."""
        index = advance(base, distance)
        self.assertIn(index, range(0x10000))
        self.assertEqual(ahead(index, base), distance)
