"""When a camera is due."""

from __future__ import annotations

import os
import time as clock
from datetime import UTC, datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.errors import ConfigError
from trailcam.schedule import Schedule, parse_quiet, parse_times

BERLIN = ZoneInfo("Europe/Berlin")  # 02:00 to 03:00 on 2026-03-29, and back on 2026-10-25
NIGHT = (time(22), time(5))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

#: Some with changes of their own kind: by half an hour, at midnight, and a whole day left out.
ZONES = [ZoneInfo(name) for name in (
    "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia", "UTC",
)]  # fmt: skip
#: Close to those changes.
CHANGES = [datetime.fromisoformat(f"{when}Z") for when in (
    "2026-03-29 01:00", "2026-10-25 01:00", "2026-04-04 15:00", "2026-10-03 15:30",
    "2026-04-05 03:00", "2026-09-06 04:00", "2011-12-30 10:00", "2026-07-01 00:00",
)]  # fmt: skip
CRONS = ["*/30 * * * *", "0 */2 * * *", "30 2 * * *", "15 0,2 * * *", "0 0 * * *", "0 12 1 * *",
         "59 23 * * 6,7", "*/20 1-3 * * *"]  # fmt: skip

moments = st.builds(
    lambda change, seconds: change + timedelta(seconds=seconds),
    st.sampled_from(CHANGES), st.integers(-2 * 86400, 2 * 86400),
)  # fmt: skip
times_of_day = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
windows = st.none() | st.tuples(times_of_day, times_of_day).filter(lambda two: two[0] != two[1])
whens: st.SearchStrategy[Any] = st.one_of(
    st.builds(dict, interval=st.sampled_from([60.0, 5400.0, 86400.0])),
    st.builds(dict, times=st.lists(st.sampled_from(CRONS), min_size=1, max_size=3).map(tuple)),
)
batteries = st.none() | st.integers(0, 100)


def schedules(jitter: st.SearchStrategy[float]) -> st.SearchStrategy[Schedule]:
    """Any schedule that goes on for ever."""
    return st.builds(
        lambda when, **rest: Schedule(**when, **rest),
        whens, quiet=windows, jitter=jitter, zone=st.sampled_from(ZONES),
        battery_floor=st.integers(0, 100), seed=st.sampled_from(["garden", "pond"]),
    )  # fmt: skip


plain, jittery = schedules(st.just(0.0)), schedules(st.sampled_from([0.0, 600.0, 7200.0]))


def at(text: str, zone: tzinfo = BERLIN, fold: int = 0) -> datetime:
    """A moment by the clock in C{zone}."""
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def visits(schedule: Schedule, begin: datetime, end: datetime) -> list[datetime]:
    """When a station that is always on visits, after one at C{begin}."""
    found: list[datetime] = []
    last = begin
    while (last := schedule.next(last, last, None) or end) < end:
        found.append(last)
    return found


def walls(moments: list[datetime]) -> list[str]:
    """What the clock in Berlin shows at these."""
    return [moment.astimezone(BERLIN).strftime("%d %H:%M") for moment in moments]


class PropertyTests(TestCase):
    """What holds for every schedule, zone, and moment."""

    @settings(deadline=None, max_examples=150)
    @given(jittery, moments, st.none() | moments, batteries)
    def test_bounds(
        self, schedule: Schedule, now: datetime, last: datetime | None, battery: int | None
    ) -> None:
        """The next visit is never before now, and the clock never shows a quiet time at it."""
        due = schedule.next(now, last, battery)
        assert due is not None
        self.assertGreaterEqual(due, now)
        self.assertIs(due.tzinfo, UTC)
        if schedule.quiet is not None:
            (begin, end), shown = schedule.quiet, due.astimezone(schedule.zone).time()
            quiet = begin <= shown < end if begin < end else shown >= begin or shown < end
            self.assertFalse(quiet, shown)

    @settings(deadline=None, max_examples=150)
    @given(jittery, moments, moments, st.integers(0, 3 * 86400), batteries)
    def test_monotone(
        self, schedule: Schedule, now: datetime, last: datetime, more: int, battery: int | None
    ) -> None:
        """Whoever asks later is not told an earlier time; asked again, the time is the same."""
        due = schedule.next(now, last, battery)
        later = schedule.next(now + timedelta(seconds=more), last, battery)
        assert due is not None and later is not None
        self.assertLessEqual(due, later)
        self.assertEqual(schedule.next(due, last, battery), due)

    @settings(deadline=None, max_examples=150)
    @given(plain, moments, st.integers(0, 86400), batteries)
    def test_monotone_in_last(
        self, schedule: Schedule, last: datetime, more: int, battery: int | None
    ) -> None:
        """After a later visit the next one is not earlier, nor with a weaker battery."""
        after = last + timedelta(seconds=more)
        early, late = (schedule.next(last, each, battery) for each in (last, after))
        weak = schedule.next(last, last, 0)
        assert early is not None and late is not None and weak is not None
        self.assertLessEqual(early, late)
        self.assertLessEqual(early, weak)

    @settings(deadline=None, max_examples=100)
    @given(jittery, moments, st.integers(0, 7200))
    def test_not_twice(self, schedule: Schedule, last: datetime, lasting: int) -> None:
        """Once visited, however long that took, the camera is not due at once again."""
        due = schedule.next(last, last, None)
        assert due is not None
        ended = due + timedelta(seconds=lasting)
        following = schedule.next(ended, ended, None)
        assert following is not None
        self.assertGreater(following, ended)


class DueTests(TestCase):
    """An interval, times, and what was missed."""

    def test_never_visited(self) -> None:
        """A camera that was never visited is due now, whatever its schedule, but for the night."""
        whens: list[Any] = [{}, {"interval": 3600}, {"times": ("0 6 * * *",)}]
        for when in whens:
            schedule = Schedule(**when, quiet=NIGHT, zone=BERLIN)
            now = at("2026-07-01 15:00")
            self.assertEqual(schedule.next(now, None, None), now)
            late = schedule.next(at("2026-07-01 23:00"), None, None)
            self.assertEqual(late, at("2026-07-02 05:00"))

    def test_only_once(self) -> None:
        """With neither interval nor times nothing comes after the first visit."""
        now = at("2026-07-01 15:00")
        self.assertIsNone(Schedule().next(now, now - DAY, None))

    def test_interval(self) -> None:
        """An interval counts from the last visit; what was missed is due now, and once."""
        schedule = Schedule(interval=3600)
        now = at("2026-07-01 15:00")
        self.assertEqual(schedule.next(now, now - HOUR / 4, None), now + HOUR * 3 / 4)
        self.assertEqual(schedule.next(now, now - 9 * DAY, None), now)
        self.assertEqual(schedule.next(now, now, None), now + HOUR)

    def test_times(self) -> None:
        """Each expression makes visits due, both at once make one; what was missed, one now."""
        schedule = Schedule(times=("0 6,18 * * *", "0 12 * * sun", "0 18 * * *"), zone=BERLIN)
        begin = at("2026-07-04 17:00")  # a Saturday
        found = visits(schedule, begin, begin + 2 * DAY)
        self.assertEqual(walls(found), ["04 18:00", "05 06:00", "05 12:00", "05 18:00", "06 06:00"])
        self.assertEqual(schedule.next(begin, begin - 2 * DAY, None), begin)
        self.assertEqual(schedule.next(begin, begin, None), begin + HOUR)

    def test_missed_in_the_night(self) -> None:
        """What was missed is not made up in quiet hours either."""
        whens: list[Any] = [{"interval": 3600}, {"times": ("0 * * * *",)}]
        for when in whens:
            schedule = Schedule(**when, quiet=NIGHT, zone=BERLIN)
            now = at("2026-07-01 23:30")
            due = schedule.next(now, now - 3 * DAY, None)
            self.assertEqual(due, at("2026-07-02 05:00"))

    def test_wrong_clock(self) -> None:
        """A last visit that lies ahead was dated by a wrong clock, and holds nothing up."""
        schedule, now = Schedule(interval=3600), at("2026-07-01 15:00")
        self.assertEqual(schedule.next(now, now + 999 * DAY, None), now)
        near = schedule.next(now, now + timedelta(seconds=5), None)
        self.assertEqual(near, now + HOUR + timedelta(seconds=5))

    def test_quiet(self) -> None:
        """What is due in quiet hours comes at their end, which is not quiet any more."""
        cases = {
            ("22:00", "05:00"): {"21:59": "21:59", "22:00": "05:00", "00:00": "05:00",
                                 "04:59": "05:00", "05:00": "05:00"},
            ("08:30", "17:00"): {"08:29": "08:29", "08:30": "17:00", "16:59": "17:00"},
        }  # fmt: skip
        for window, expected in cases.items():
            schedule = Schedule(quiet=parse_quiet("-".join(window)), zone=BERLIN)
            for due, put_off in expected.items():
                now = at(f"2026-07-01 {due}")
                found = schedule.next(now, None, None)
                assert found is not None
                self.assertEqual(walls([found])[0][3:], put_off)
                self.assertLess(found - now, DAY)


class ClockChangeTests(TestCase):
    """The nights in which the clock is changed."""

    def days(self, text: str) -> list[list[str]]:
        """The visits in the two nights, in spring and in autumn."""
        schedule = Schedule(times=parse_times(text), zone=BERLIN)
        nights = ("2026-03-29", "2026-10-25")
        return [walls(visits(schedule, at(f"{day} 00:59"), at(f"{day} 04:30"))) for day in nights]

    def test_skipped_hour(self) -> None:
        """What is due in the hour that is left out comes at its end, and once."""
        self.assertEqual(self.days("30 2 * * *")[0], ["29 03:00"])
        self.assertEqual(self.days("0 */2 * * *")[0], ["29 03:00", "29 04:00"])
        self.assertEqual(self.days("*/30 1-3 * * *")[0], ["29 01:00", "29 01:30", "29 03:00",
                                                           "29 03:30"])  # fmt: skip

    def test_double_hour(self) -> None:
        """What is due in the hour that comes twice comes in the first of them only."""
        self.assertEqual(self.days("30 2 * * *")[1], ["25 02:30"])
        self.assertEqual(self.days("0 */2 * * *")[1], ["25 02:00", "25 04:00"])
        last = at("2026-10-25 02:10", fold=1)  # a visit that began at 02:30, and was long
        following = Schedule(times=("30 2 * * *",), zone=BERLIN).next(last, last, None)
        self.assertEqual(following, at("2026-10-26 02:30"))

    def test_whole_year(self) -> None:
        """A year has as many visits as the calendar has days."""
        for text in ("30 2 * * *", "*/60 2 * * *", "0 0 * * *"):
            for zone in ZONES[:3]:
                schedule = Schedule(times=(text,), zone=zone)
                begin, end = at("2026-01-01 12:00", zone), at("2027-01-01 12:00", zone)
                self.assertEqual(len(visits(schedule, begin, end)), 365, f"{text} in {zone}")

    def test_interval(self) -> None:
        """An interval is real time."""
        found = visits(Schedule(interval=1800, zone=BERLIN), at("2026-10-25 00:00"),
                       at("2026-10-25 06:00"))  # fmt: skip
        self.assertEqual({after - before for before, after in pairwise(found)}, {HOUR / 2})
        self.assertEqual(len(found), 13)

    def test_quiet(self) -> None:
        """Quiet hours end when the clock says so, and cover an hour that comes twice twice."""
        schedule = Schedule(quiet=(time(22), time(2, 30)), zone=BERLIN)

        def due(now: datetime) -> datetime | None:
            return schedule.next(now, None, None)

        self.assertEqual(due(at("2026-03-28 23:00")), at("2026-03-29 03:00"))
        self.assertEqual(due(at("2026-10-24 23:00")), at("2026-10-25 02:30", fold=1))
        self.assertEqual(due(at("2026-10-25 02:10", fold=1)), at("2026-10-25 02:30", fold=1))

    def test_station_zone(self) -> None:
        """The station's own zone is as good as one with a name."""
        before = os.environ.get("TZ")
        self.addCleanup(self.set_zone, before)
        self.set_zone("Europe/Berlin")
        for text in ("30 2 * * *", "*/30 * * * *"):
            here, named = (Schedule(times=(text,), quiet=NIGHT, zone=zone)
                           for zone in (None, BERLIN))  # fmt: skip
            for day in ("2026-03-28", "2026-10-24"):
                begin, end = at(f"{day} 12:00"), at(f"{day} 12:00") + 2 * DAY
                self.assertEqual(visits(here, begin, end), visits(named, begin, end))

    def set_zone(self, name: str | None) -> None:
        """Make it this process's zone."""
        os.environ.pop("TZ", None)
        if name is not None:
            os.environ["TZ"] = name
        clock.tzset()


class JitterTests(TestCase):
    """Visits begin a little late."""

    def test_jitter(self) -> None:
        """Each visit is late by a time of its own, within bounds; each camera by another."""
        begin = at("2026-07-01 00:00")
        dues = [begin + HOUR * hours for hours in range(100)]
        late: dict[str, list[timedelta]] = {}
        for seed in ("garden", "pond"):
            schedule = Schedule(interval=3600, jitter=600, seed=seed)
            late[seed] = [(schedule.next(due - HOUR, due - HOUR, None) or begin) - due
                          for due in dues]  # fmt: skip
            self.assertTrue(all(timedelta(0) <= each <= HOUR / 6 for each in late[seed]))
            self.assertGreater(max(late[seed]) - min(late[seed]), HOUR / 8)
        self.assertEqual(len(set(late["garden"] + late["pond"])), 200)

    def test_after_the_night(self) -> None:
        """What was put off to the end of the quiet hours is spread as well."""
        schedule = Schedule(interval=3600, quiet=NIGHT, jitter=600, zone=BERLIN, seed="garden")
        now = at("2026-07-01 23:00")
        due = schedule.next(now, now, None)
        assert due is not None
        self.assertGreater(due, at("2026-07-02 05:00"))
        self.assertLessEqual(due, at("2026-07-02 05:10"))


class BatteryTests(TestCase):
    """A weak battery."""

    def test_thrift(self) -> None:
        """Below the floor 2, doubled for each further 5 percent, at most 8."""
        schedule = Schedule(battery_floor=30)
        expected = {None: 1, 100: 1, 30: 1, 29: 2, 25: 2, 24: 4, 20: 4, 19: 8, 14: 8, 0: 8}
        self.assertEqual({battery: schedule.thrift(battery) for battery in expected}, expected)
        self.assertEqual(Schedule().thrift(0), 1)

    def test_interval(self) -> None:
        """The interval is so many times as long."""
        schedule, now = Schedule(interval=3600, battery_floor=30), at("2026-07-01 15:00")
        for battery, hours in ((30, 1), (29, 2), (20, 4), (1, 8)):
            self.assertEqual(schedule.next(now, now, battery), now + hours * HOUR)

    def test_times(self) -> None:
        """Every 2nd, 4th, 8th time is kept."""
        schedule = Schedule(times=("0 6,18 * * *",), battery_floor=30, zone=BERLIN)
        now = at("2026-07-01 07:00")
        found = [schedule.next(now, now, battery) or now for battery in (30, 29, 20, 1)]
        self.assertEqual(walls(found), ["01 18:00", "02 06:00", "03 06:00", "05 06:00"])


class TextTests(TestCase):
    """What is written in C{tap.conf}."""

    def refused(self, call: Any, *args: Any, **kwargs: Any) -> str:
        """The one line that it is refused with."""
        message = str(self.assertRaises(ConfigError, call, *args, **kwargs))
        self.assertTrue(message.isprintable())
        return message

    def test_times(self) -> None:
        """Cron expressions with C{;} between them, in any capitals and blanks."""
        self.assertEqual(parse_times("0 6 * * *"), ("0 6 * * *",))
        self.assertEqual(parse_times(" 0  6 * * * ;*/5 1-3 * JAN mon#1;"),
                         ("0 6 * * *", "*/5 1-3 * JAN mon#1"))  # fmt: skip

    def test_wrong_times(self) -> None:
        """Which expression is wrong, and why, is said in one line."""
        cases = {
            "0 6 * * *; 0 25 * * *": "not '0 25 * * *' (bad hour)",
            "0 6 * *": "not '0 6 * *' (not five fields)",
            "0 0 6 * * *": "(not five fields)",
            ";": "not '' (not five fields)",
            "06:00": "(not five fields)",
            "0 0 31 2 *": "(bad day-of-month)",
            "* * */20 * 1L": "(no such day)",
            f"{'9' * 5000} * * * *": "9…' (a number too large)",
            "0 6 \x1b * *": r"not '0 6 \x1b * *' (bad day-of-month)",
        }
        for text, expected in cases.items():
            message = self.refused(parse_times, text)
            self.assertTrue(message.startswith("times must be cron expressions like "), message)
            self.assertTrue(message.endswith(expected), message)

    def test_quiet(self) -> None:
        """From one time to another; it may pass midnight."""
        self.assertEqual(parse_quiet("22:00-05:00"), NIGHT)
        self.assertEqual(parse_quiet(" 7:15 - 0:00 "), (time(7, 15), time(0)))
        for text in ("", "22:00", "22-5", "24:00-05:00", "22:60-05:00", "05:00-05:00", "\n",
                     "22:00-05:00x", "9" * 5000):  # fmt: skip
            self.assertIn("quiet must be from one time to another", self.refused(parse_quiet, text))

    def test_impossible(self) -> None:
        """What is no schedule cannot be made."""
        self.refused(Schedule, interval=60, times=("0 6 * * *",))
        self.refused(Schedule, interval=-1)
        self.refused(Schedule, jitter=float("nan"))
        self.refused(Schedule, times=("x",))
        self.refused(Schedule, quiet=(time(5), time(5)))
