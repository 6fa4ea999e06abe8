"""
The commands that change what is on the camera's card (PROTOCOL, section 3).

L{Delete} and L{Format} destroy pictures: they are sent only when a person
asked for that very thing and confirmed it, at the command line or with
C{after_visit = delete} in the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

from trailcam.commands import Acknowledged, Command, Json, MediaFile, optional_integer

__all__ = ["Delete", "Format", "Snap"]


@dataclass(frozen=True)
class Delete(Acknowledged):
    """Delete one photo or video from the card (evidence W)."""

    cmd_id = 773
    file: MediaFile

    def fields(self) -> Json:
        return self.file.request()


class Format(Command[int | None]):
    """Erase the whole card (evidence W). The answer: how many MB are free then."""

    cmd_id = 518

    def reply(self, response: Json) -> int | None:
        self.check(response, "formatRet")
        return optional_integer(response, "sdFreeMB")


class Snap(Acknowledged):
    """
    Take a photo now (evidence P: the vendor's app names it, nobody has seen it sent).

    What a camera answers is not known, nor whether it answers; the simulator's agrees.
    """

    cmd_id = 641
