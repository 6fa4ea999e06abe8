"""
From the camera's wall clock to UTC, once (PROTOCOL, "Times are local").

A camera says no zone: it counts the seconds of its wall clock as if it were
UTC. Where that clock stood is what its owner says, or else the station's own
zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

__all__ = ["Moment", "plausible", "zone_from_name", "zone_name"]

_EPOCH = datetime(1970, 1, 1)
#: The first second that no calendar here can hold in every zone.
_TOO_LATE = int((datetime(9999, 1, 1) - _EPOCH).total_seconds())
_FIXED = re.compile(r"UTC([+-])(\d\d):(\d\d)(?::(\d\d))?", re.ASCII)


def plausible(seconds: int | None) -> int | None:
    """A media time, or C{None} where it is none that a calendar knows."""
    return seconds if seconds is not None and 0 <= seconds < _TOO_LATE else None


@dataclass(frozen=True)
class Moment:
    """
    When a picture was taken.

    @ivar wall: what the camera's clock showed; without a zone.
    @ivar offset: what that clock was ahead of UTC.
    @ivar zone: the name of the zone, like C{Europe/Berlin}.
    """

    wall: datetime
    offset: timedelta
    zone: str

    @property
    def utc(self) -> datetime:
        """The same instant in UTC, aware."""
        return (self.wall - self.offset).replace(tzinfo=UTC)

    @property
    def seconds(self) -> int:
        """As the camera counts: the wall clock as if it were UTC."""
        return int((self.wall - _EPOCH).total_seconds())

    @classmethod
    def from_wall(cls, wall: datetime, zone: tzinfo | None) -> Moment:
        """
        What a clock in C{zone} means by C{wall}.

        An hour that comes twice is taken for the first; one that is skipped is
        counted on from before the change, as a clock does that nobody set.

        @param wall: without a zone.
        @param zone: C{None} for the station's own.
        """
        if zone is None:
            utc = datetime.fromtimestamp(wall.timestamp(), UTC)
        else:
            utc = wall.replace(tzinfo=zone).astimezone(UTC)
        name = zone_name(zone) or utc.astimezone().tzname() or ""
        return cls(wall, wall - utc.replace(tzinfo=None), name)

    @classmethod
    def from_seconds(cls, seconds: int, zone: tzinfo | None) -> Moment:
        """
        Read a media time.

        @param seconds: L{plausible} ones.
        """
        return cls.from_wall(_EPOCH + timedelta(seconds=seconds), zone)

    @classmethod
    def from_utc(cls, utc: datetime, offset: timedelta, zone: tzinfo | None) -> Moment:
        """
        The moment that once was converted to C{utc}.

        @param utc: without a zone.
        @param zone: where the camera is now; if that does not explain
            C{offset}, the camera was elsewhere then.
        """
        moment = cls.from_wall(utc + offset, zone)
        return moment if moment.offset == offset else cls.from_wall(utc + offset, timezone(offset))


def zone_name(zone: tzinfo | None) -> str | None:
    """The name of a zone, that L{zone_from_name} understands; C{None} for the station's own."""
    if zone is None:
        return None
    return zone.key if isinstance(zone, ZoneInfo) and zone.key else str(zone)


def zone_from_name(name: object) -> tzinfo | None:
    """The zone called C{name}, or C{None}, the station's own, where there is none."""
    if not isinstance(name, str):
        return None
    if fixed := _FIXED.fullmatch(name):
        sign, hours, minutes, seconds = fixed.groups("0")
        offset = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
        return timezone(offset if sign == "+" else -offset) if offset < timedelta(days=1) else None
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return None
