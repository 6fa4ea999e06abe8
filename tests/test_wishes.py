"""Notes for a service about which cameras somebody wants visited."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from trailcam.wishes import ask_for_visits, wished_for


class WishTests(TestCase):
    """L{ask_for_visits} and L{wished_for}."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp())

    def test_once(self) -> None:
        """A note is read once; without one all cameras are meant."""
        self.assertEqual(wished_for(self.state), [])
        ask_for_visits(self.state, ["garden", "pond"])
        self.assertEqual(wished_for(self.state), ["garden", "pond"])
        self.assertEqual(wished_for(self.state), [])
        ask_for_visits(self.state, [])
        self.assertEqual(wished_for(self.state), [])

    def test_nonsense(self) -> None:
        """What nobody wrote so means all cameras, too."""
        self.state.mkdir()
        for text in (b"", b"{", b"3", b'{"a": 1}', b"[" * 90_000, b"\xff", b"[" + b"1," * 99_999):
            (self.state / "visit-now").write_bytes(text)
            self.assertEqual(wished_for(self.state), [])
