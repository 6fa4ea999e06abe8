"""The round-trip estimator against RFC 6298's formulas."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.session.roundtrip import RoundTrip


class RoundTripTests(TestCase):
    """L{RoundTrip}."""

    def test_before_any_sample(self) -> None:
        """Nothing is known, and the time-out is the initial one."""
        round_trip = RoundTrip()
        self.assertIsNone(round_trip.smoothed)
        self.assertEqual(round_trip.timeout, RoundTrip.INITIAL)
        self.assertEqual(round_trip.reordering, 0.01)

    def test_rfc_6298(self) -> None:
        """A known sequence of samples gives the values of the RFC, by hand."""
        round_trip = RoundTrip()
        for sample, smoothed, timeout in (
            (0.1, 0.1, 0.3),  # SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR
            (0.2, 0.1125, 0.3625),  # RTTVAR = 3/4 · 0.05 + 1/4 · 0.1 = 0.0625
            (0.1, 0.1109375, 0.3109375),  # RTTVAR = 3/4 · 0.0625 + 1/4 · 0.0125 = 0.05
        ):
            round_trip.sample(sample)
            self.assertAlmostEqual(round_trip.smoothed or 0.0, smoothed, 12)
            self.assertAlmostEqual(round_trip.timeout, timeout, 12)

    def test_bounds(self) -> None:
        """Whatever was measured, the time-out stays between the two limits."""
        for sample, timeout in ((0.0, RoundTrip.SHORTEST), (60.0, RoundTrip.LONGEST)):
            round_trip = RoundTrip()
            round_trip.sample(sample)
            self.assertEqual(round_trip.timeout, timeout)

    def test_reordering(self) -> None:
        """A quarter of the round trip may pass before what is late counts as lost, or 10 ms."""
        round_trip = RoundTrip()
        round_trip.sample(0.2)
        self.assertAlmostEqual(round_trip.reordering, 0.05)
        round_trip = RoundTrip()
        round_trip.sample(0.004)
        self.assertEqual(round_trip.reordering, 0.01)

    @settings(deadline=None)
    @given(st.lists(st.floats(0.0, 10.0), min_size=1))
    def test_any_samples(self, samples: list[float]) -> None:
        """The mean lies among the samples, and the time-out is never shorter (but capped)."""
        round_trip = RoundTrip()
        for sample in samples:
            round_trip.sample(sample)
        smoothed = round_trip.smoothed
        assert smoothed is not None
        self.assertTrue(min(samples) - 1e-9 <= smoothed <= max(samples) + 1e-9)
        self.assertGreaterEqual(round_trip.timeout, min(smoothed, RoundTrip.LONGEST))
        self.assertTrue(RoundTrip.SHORTEST <= round_trip.timeout <= RoundTrip.LONGEST)
