"""
When a camera is due: pure, the time is an argument.

Every visit costs the camera battery. So a visit that was missed is made up
once, however many were missed, and a camera whose battery is low is visited
less often.

Due times are counted on the clock on the wall: each comes exactly once, also
in the night in which that clock is changed. What falls into the hour that is
skipped is due at the end of it; what falls into the hour that comes twice, at
the first of the two. An interval is real time, which no change touches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from heapq import merge
from itertools import islice
from random import Random

from cronsim import CronSim, CronSimError

from trailcam.errors import ConfigError

__all__ = ["Schedule", "parse_quiet", "parse_times"]

_QUIET = re.compile(r"(\d{1,2}):(\d\d) ?- ?(\d{1,2}):(\d\d)", re.ASCII)
_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)
#: Where the search for an expression's first time begins; any day would do.
_ANY_DAY = datetime(2000, 1, 1)
#: A low battery makes visits so many times rarer at most.
_RAREST = 8
#: It does so in steps of so many percent.
_STEP = 5


@dataclass(frozen=True)
class Schedule:
    """
    When to visit one camera.

    @ivar interval: seconds from one visit to the next; 0 for none.
    @ivar times: cron expressions of five fields, instead of an interval; each makes visits due.
    @ivar quiet: from when to when no visit begins, every day; it may pass midnight. What is due
        in it is put off to its end.
    @ivar jitter: a visit begins up to so many seconds after it is due. How many depends only on
        when that is, and on C{seed}: whoever asks again is told the same.
    @ivar battery_floor: below so many percent visits are rarer, see L{thrift}; 0 for never.
    @ivar zone: where C{times} and C{quiet} are read; C{None} for the station's own zone.
    @ivar seed: makes the jitter of several cameras differ: the camera's name.
    """

    interval: float = 0.0
    times: tuple[str, ...] = ()
    quiet: tuple[time, time] | None = None
    jitter: float = 0.0
    battery_floor: int = 0
    zone: tzinfo | None = None
    seed: str = ""

    def __post_init__(self) -> None:
        if self.interval and self.times:
            raise ConfigError("give interval or times, not both")
        for number in (self.interval, self.jitter):
            if not 0 <= number < float("inf"):
                raise ConfigError(f"interval and jitter must be 0 or more seconds, not {number}")
        for text in self.times:
            _check(text)
        if self.quiet is not None and self.quiet[0] == self.quiet[1]:
            raise ConfigError("quiet must end at another time than it begins")

    def next(self, now: datetime, last: datetime | None, battery: int | None) -> datetime | None:
        """
        When the next visit begins; it may be C{now}.

        Timers fire early when the clock was set in between: ask again before
        the visit, and wait on if the answer lies ahead.

        @param now: aware.
        @param last: when the last visit ended, well or not; aware; C{None} when there was none,
            so that one is due now.
        @param battery: the camera's, in percent; C{None} where it is not known.
        @return: aware, in UTC; C{None} when there is nothing more to come.
        """
        now = now.astimezone(UTC)
        # The clock may have been wrong once, and the last visit lie years ahead.
        if last is None or (last := last.astimezone(UTC)) > now + _DAY:
            return self._after_quiet(now)
        due = self._due(last, self.thrift(battery))
        if due is None:
            return None
        due = self._after_quiet(due)
        return self._after_quiet(max(now, due + self._delay(due)))

    def thrift(self, battery: int | None) -> int:
        """
        How many times rarer visits are with such a battery: the interval is so many times as
        long, or only every so manyth of the C{times} is kept.

        Below the floor 2, and twice that for each further 5 percent, but at most 8. With a
        floor of 30: 2 from 29 to 25, 4 from 24 to 20, 8 below.

        @param battery: in percent; C{None} where it is not known.
        """
        if battery is None or battery >= self.battery_floor:
            return 1
        steps: int = (self.battery_floor - 1 - battery) // _STEP
        return min(_RAREST, 2 << steps)

    def _due(self, last: datetime, rarer: int) -> datetime | None:
        """When a visit is due after C{last}, be it quiet or past."""
        if self.interval:
            return last + timedelta(seconds=self.interval * rarer)
        return next(islice(self._times_after(last), rarer - 1, None), None)

    def _times_after(self, moment: datetime) -> Iterator[datetime]:
        """The moments that C{times} mean, in order, each once."""
        wall = moment.astimezone(self.zone).replace(tzinfo=None)
        # Of a clock that knows no summer time; what it means is found below.
        for due in merge(*(CronSim(text, wall) for text in self.times)):
            instant = _instant(due, self.zone)
            if instant > moment:
                yield (moment := instant)

    def _delay(self, due: datetime) -> timedelta:
        # To the minute: whoever counts from a clock that is being trimmed is off by a bit.
        part = Random(f"{self.seed} {due:%Y-%m-%dT%H:%M}").random()
        return timedelta(seconds=self.jitter * part)

    def _after_quiet(self, moment: datetime) -> datetime:
        """The first moment from this one on that is not quiet."""
        if self.quiet is None:
            return moment
        begin, end = self.quiet
        today = moment.astimezone(self.zone).date()
        # Yesterday's may not be over. When the clock is changed, two can join.
        for day in (today - _DAY, today, today + _DAY, today + 2 * _DAY):
            last_day = day if begin < end else day + _DAY
            over = _instant(datetime.combine(last_day, end), self.zone, fold=1)
            if _instant(datetime.combine(day, begin), self.zone) <= moment < over:
                moment = over
        return moment


def _instant(wall: datetime, zone: tzinfo | None, fold: int = 0) -> datetime:
    """
    The moment at which the clock shows C{wall}, or where it skips that, the next it shows.

    @param wall: without a zone, a whole minute.
    @param fold: of a time that comes twice, 0 for the first and 1 for the second.
    @return: in UTC.
    """
    while True:
        instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == wall:
            return instant
        wall += _MINUTE


def parse_times(text: str) -> tuple[str, ...]:
    """
    Read cron expressions with C{;} between them.

    @raise ConfigError: when one is not, or means no time at all.
    """
    times = tuple(" ".join(part.split()) for part in text.split(";") if part.strip())
    for each in times or ("",):
        _check(each)
    return times


def _check(text: str) -> None:
    try:
        if len(text.split()) != 5:
            raise CronSimError("Not five fields")
        next(CronSim(text, _ANY_DAY))
        return
    except StopIteration:
        why = "no such day"
    except (CronSimError, ValueError) as error:  # ValueError: a number of 5000 digits
        why = str(error).lower() if isinstance(error, CronSimError) else "a number too large"
    raise ConfigError(
        "times must be cron expressions like 0 6,18 * * *, with ; between several, "
        f"not {_shown(text)} ({why})"
    )


def parse_quiet(text: str) -> tuple[time, time]:
    """
    Read the hours of the day in which no camera is visited, like C{22:00-05:00}.

    @raise ConfigError: when they are none.
    """
    try:
        match = _QUIET.fullmatch(text.strip())
        if match is None:
            raise ValueError
        from_hour, from_minute, to_hour, to_minute = map(int, match.groups())
        begin, end = time(from_hour, from_minute), time(to_hour, to_minute)
        if begin == end:
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"quiet must be from one time to another like 22:00-05:00, not {_shown(text)}"
        ) from None
    return begin, end


def _shown(text: str) -> str:
    """It may be long, and anything."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
