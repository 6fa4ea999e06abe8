"""How a camera fares, and what of it is told: L{assess} and L{news}."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.happenings import (
    BatteryLow,
    CameraBack,
    CameraMissing,
    CardNearlyFull,
    ClockWrong,
    Happening,
)
from trailcam.health import MISSED, SEEN, Health, Limits, assess, news
from trailcam.library.visits import Visit

BEGIN = datetime(2026, 6, 1, 6, tzinfo=UTC)
LIMITS = Limits(battery=20, card=500)
OK = Visit("garden", BEGIN, BEGIN + timedelta(minutes=1), "ok")
FAILED = replace(OK, outcome="failed", why="no camera answered")
STOPPED = replace(OK, outcome="interrupted")


def told(visits: Iterable[Visit], limits: Limits = LIMITS) -> list[list[Happening]]:
    """What each of these visits, an hour apart, brings to light, as a station sees them."""
    latest_first: list[Visit] = []
    found = []
    for hour, visit in enumerate(visits):
        later = timedelta(hours=hour)
        latest_first.insert(0, replace(visit, began=visit.began + later, ended=visit.ended + later))
        found.append(news(latest_first[:SEEN], limits))
    return found


def names(visits: Iterable[Visit], limits: Limits = LIMITS) -> str:
    """Likewise: only of which kind, and a point for nothing."""
    short = {CameraMissing: "missing", CameraBack: "back"}
    return " ".join("+".join(short.get(type(each), type(each).__name__) for each in some) or "."
                    for some in told(visits, limits))  # fmt: skip


def saying(name: str, *values: Any) -> list[Visit]:
    """Visits to a camera that said this of itself; C{None}: it did not."""
    return [replace(OK, **{name: value}) for value in values]


class CrossingTests(TestCase):
    """What crosses a limit is told when it does."""

    def assert_told(self, name: str, kind: type[Any], table: list[tuple[Any, bool]]) -> None:
        """A visit for each value, and whether it is told then."""
        found = told(saying(name, *(value for value, _ in table)))
        for (value, is_told), some in zip(table, found, strict=True):
            self.assertEqual([type(each) for each in some], [kind] * is_told, (name, value, table))

    def test_battery(self) -> None:
        """Once below the limit, and again only after it was above; silence changes nothing."""
        self.assert_told("battery", BatteryLow, [
            (50, False), (20, False), (19, True), (18, False), (None, False), (5, False),
            (20, False), (19, True), (100, False), (None, False), (0, True), (0, False),
        ])  # fmt: skip

    def test_card(self) -> None:
        """Likewise, of what is free on the card."""
        self.assert_told("card_free_mb", CardNearlyFull, [
            (None, False), (499, True), (0, False), (None, False), (1, False), (500, False),
            (30_000, False), (None, False), (499, True),
        ])  # fmt: skip

    def test_clock(self) -> None:
        """A clock that is a minute off was not just set, whichever way it is off."""
        self.assert_told("clock_drift", ClockWrong, [
            (0.0, False), (60.0, False), (-60.0, False), (61.0, True), (-3600.0, False),
            (None, False), (3600.0, False), (1.0, False), (-61.0, True), (-1e12, False),
        ])  # fmt: skip

    def test_at_once(self) -> None:
        """The very first visit may find all of it, and every visit that says so counts."""
        visit = replace(OK, battery=3, card_free_mb=3, clock_drift=-7200.0)
        for outcome in ("ok", "failed", "interrupted"):
            (some,) = told([replace(visit, outcome=outcome, why="lost")])
            self.assertEqual(some, [BatteryLow("garden", 3), CardNearlyFull("garden", 3),
                                    ClockWrong("garden", -7200.0)])  # fmt: skip
        self.assertEqual([str(each) for each in some], [
            "garden: the battery is at 3 %", "garden: only 3 MB are free on the card",
            "garden: its clock is -7200 s off, though it was just set",
        ])  # fmt: skip

    def test_never(self) -> None:
        """With limits of 0, neither battery nor card are ever told of."""
        visits = [*saying("battery", 50, 0, 50, 0), *saying("card_free_mb", 9000, 0, 9000, 0)]
        self.assertEqual(names(visits, Limits(0, 0)), ". . . . . . . .")

    def test_no_visits(self) -> None:
        """Of a camera that was never visited nothing is known."""
        self.assertEqual(assess([]), Health())
        self.assertEqual(news([], LIMITS), [])


class MissingTests(TestCase):
    """Cameras that do not answer."""

    def test_told_once(self) -> None:
        """After three that failed in a row, and not again until it was back."""
        visits = [OK, FAILED, FAILED, FAILED, FAILED, FAILED, OK, OK, FAILED, FAILED, FAILED]
        self.assertEqual(names(visits), ". . . missing . . back . . . missing")
        missing, back = (found for some in told(visits[:8]) for found in some)
        assert isinstance(missing, CameraMissing)
        self.assertEqual((missing.failures, missing.why), (MISSED, "no camera answered"))
        self.assertEqual(missing.last_seen, OK.ended)
        self.assertEqual(back, CameraBack("garden", 5))
        self.assertEqual(str(missing), "garden: 3 visits failed in a row "
                         "(last seen 2026-06-01 06:01 UTC); no camera answered")  # fmt: skip
        self.assertEqual(str(back), "garden: back, after 5 visits that failed")

    def test_never_seen(self) -> None:
        """One that never answered is told of as well."""
        ((missing,),) = [some for some in told([FAILED] * 6) if some]
        self.assertEqual(missing, CameraMissing("garden", 3, "no camera answered", None))
        self.assertIn("never seen", str(missing))

    def test_interrupted(self) -> None:
        """Visits that we ended ourselves count neither way."""
        for visits, tells in (
            ([OK, FAILED, STOPPED, FAILED, STOPPED, FAILED], ". . . . . missing"),
            ([OK, FAILED, FAILED, STOPPED, OK], ". . . . ."),
            ([OK, FAILED, FAILED, FAILED, STOPPED, FAILED], ". . . missing . ."),
            ([FAILED, FAILED, FAILED, STOPPED, OK], ". . missing . back"),
            ([STOPPED] * 5, ". . . . ."),
            ([FAILED, FAILED, OK], ". . ."),
        ):
            self.assertEqual(names(visits), tells)

    def test_for_ever(self) -> None:
        """A camera that is missing for longer than is looked back is not told of twice."""
        found = told([OK, *[FAILED] * (SEEN + 20), OK, OK])
        self.assertEqual([type(each) for some in found for each in some],
                         [CameraMissing, CameraBack])  # fmt: skip


class AssessTests(TestCase):
    """How it fares."""

    def test_latest(self) -> None:
        """Of each the latest that it said, however that visit ended."""
        visits = [
            FAILED, STOPPED, replace(FAILED, battery=40), replace(OK, battery=50, clock_drift=2.0),
            replace(OK, temperature=-4.0, card_free_mb=0, battery=60),
        ]  # fmt: skip
        self.assertEqual(assess(visits), Health(40, 0, -4.0, 2.0, OK.ended, 2))

    def test_zero(self) -> None:
        """Nothing left is something that it said."""
        health = assess([FAILED, replace(OK, battery=0, temperature=0.0), replace(OK, battery=9)])
        self.assertEqual((health.battery, health.temperature), (0, 0.0))


class PropertyTests(TestCase):
    """Whatever the visits are."""

    visits = st.lists(st.builds(
        replace,
        st.sampled_from([OK, OK, FAILED, FAILED, STOPPED]),
        battery=st.sampled_from([None, 0, 19, 20, 90]),
        card_free_mb=st.sampled_from([None, 0, 499, 500, 9000]),
        clock_drift=st.sampled_from([None, 0.0, 60.0, 61.0, -61.0]),
    ), max_size=30)  # fmt: skip

    @given(visits)
    @hypothesis_settings(deadline=None, max_examples=60)
    def test_as_a_state_machine(self, visits: list[Visit]) -> None:
        """It is as if somebody had watched it all, and remembered what was told."""
        below: dict[str, bool] = {}
        failures = 0
        for visit, found in zip(visits, told(visits), strict=True):
            meant = set()
            for name, kind, is_low in (
                ("battery", BatteryLow, lambda value: value < 20),
                ("card_free_mb", CardNearlyFull, lambda value: value < 500),
                ("clock_drift", ClockWrong, lambda value: abs(value) > 60),
            ):
                value = getattr(visit, name)
                if value is not None:
                    if is_low(value) and not below.get(name):
                        meant.add(kind)
                    below[name] = is_low(value)
            if visit.outcome == "failed":
                failures += 1
                if failures == MISSED:
                    meant.add(CameraMissing)
            elif visit.outcome == "ok":
                if failures >= MISSED:
                    meant.add(CameraBack)
                failures = 0
            self.assertEqual({type(each) for each in found}, meant)
            self.assertEqual(len(found), len(meant))
