"""
What the simulated camera answers: pure, no clock, no socket.

A L{Visit} takes the bytes of channel 0 and gives back L{Deed}s: what is to
be sent or done. The server draws the pictures and sends them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from trailcam.commands import MediaFile, decode_text, encode_text, integer, optional_integer
from trailcam.errors import DecodeError
from trailcam.simulator.card import Card
from trailcam.simulator.faults import Faults
from trailcam.simulator.information import device_information
from trailcam.wire.artemis import Message, MessageId, StreamScanner, encode_header

__all__ = ["Deed", "Do", "SendFiles", "SendThumbnails", "Show", "Speak", "Visit", "make_token"]

Json = dict[str, Any]

#: A list page of so many is refused (W).
TOO_MANY = 50
#: A response's length counts so many NULs behind its text (C).
RESPONSE_TAIL = bytes(20)


@dataclass(frozen=True)
class Speak:
    """Send these bytes on a channel."""

    channel: int
    data: bytes


@dataclass(frozen=True)
class SendFiles:
    """Send photos on channel 3; C{sequence} is that of the request."""

    sequence: int
    files: tuple[MediaFile, ...]


@dataclass(frozen=True)
class SendThumbnails:
    """Send thumbnails on channel 4."""

    files: tuple[MediaFile, ...]


@dataclass(frozen=True)
class Show:
    """Play a video on channel 2, then answer the request with what is known of it by then."""

    sequence: int
    file: MediaFile
    session_number: int


@dataclass(frozen=True)
class Do:
    """
    Do something by name: C{live}, C{stop-live}, C{stop-playing}, C{stop-files}, C{sleep}.
    """

    what: str


Deed: TypeAlias = Speak | SendFiles | SendThumbnails | Show | Do


class Visit:
    """
    One client's session with the camera.

    @ivar token: what it was given at login; C{None} before.
    """

    def __init__(
        self, card: Card, faults: Faults, user: str, password: str, battery: int = 80
    ) -> None:
        self._card = card
        self._faults = faults
        self._credentials = user, password
        self._battery = battery
        self._scanner = StreamScanner()
        self._wall_clock = 0
        self.token: int | None = None

    def receive(self, data: bytes) -> Iterator[Deed]:
        """Take bytes of channel 0, and say what is to be done about them."""
        self._scanner.feed(data)
        while (part := self._scanner.next_part()) is not None:
            if isinstance(part, Message) and part.id == MessageId.REQUEST:
                try:
                    request = decode_text(part.payload)
                    code = integer(request, "cmdId")
                except DecodeError:
                    continue
                yield from self._answer(code, part.sequence, request)

    def _answer(self, code: int, sequence: int, request: Json) -> Iterator[Deed]:
        if code == 0:
            yield from self._log_in(sequence, request)
        elif code == 525:
            return
        elif self.token is None or request.get("token") != self.token:
            yield _refuse(sequence, code, "Token error")
        elif (method := _ANSWERS.get(code)) is None:
            yield _refuse(sequence, code, "Not supported")
        else:
            try:
                yield from method(self, code, sequence, request)
            except (DecodeError, LookupError):
                yield _refuse(sequence, code, "Parameter error")

    def _log_in(self, sequence: int, request: Json) -> Iterator[Deed]:
        given = request.get("usrName"), request.get("password")
        if self._faults.refuse_login or given != self._credentials:
            yield _refuse(sequence, 0, "Username or password error")
            return
        self._wall_clock = optional_integer(request, "utcTime") or 0
        self.token = make_token(self._wall_clock)
        battery = {"bat_percent": self._battery}
        yield respond(
            sequence, {"cmdId": 0, "result": 0, "token": self.token, **battery, **_SUCCESS}
        )
        text = b'{"evtId":4}\0'
        yield Speak(6, encode_header(MessageId.EVENT, 1, len(text), flag=0x77) + text)

    def _information(self, code: int, sequence: int, request: Json) -> Iterator[Deed]:
        card, unit = self._card, self._faults.unit
        fields = device_information(
            unit, self._wall_clock, self._battery, card.total_mb, card.free_mb
        )
        yield respond(sequence, {**fields, **_SUCCESS, "result": 0, "cmdId": code})

    def _list(self, code: int, sequence: int, request: Json) -> Iterator[Deed]:
        size, page = integer(request, "itemCntPerPage"), integer(request, "pageNo")
        if not 0 < size < TOO_MANY:
            yield _refuse(sequence, code, "itemCntPerPage too large", getMediaListRet=-1)
            return
        if self._faults.repeat_pages:
            page = 0
        files = self._card.files[page * size : (page + 1) * size]
        entries = [_entry(file) for file in files]
        yield respond(
            sequence,
            {"mediaFiles": entries, "cnt": len(entries), "pageNo": page, "getMediaListRet": 0,
             **_SUCCESS, "result": 0, "cmdId": code},
        )  # fmt: skip

    def _download(self, code: int, sequence: int, request: Json) -> Iterator[Deed]:
        files = self._named(request.get("downloadReqs"))
        yield _agree(sequence, code, cmdRet=0)
        yield SendFiles(sequence, tuple(file for file in files if file.is_photo))

    def _thumbnails(self, code: int, sequence: int, request: Json) -> Iterator[Deed]:
        files = self._named(request.get("thumbnailReqs"))
        yield _agree(sequence, code, cmdRet=0)
        yield SendThumbnails(files)

    def _play(self, code: int, sequence: int, request: Json) -> Iterator[Deed]:
        (file,) = self._named([request])
        if file.is_photo:
            raise LookupError
        yield Show(sequence, file, integer(request, "sessionNo", 0xFFFF))

    def _delete(self, code: int, sequence: int, request: Json) -> Iterator[Deed]:
        try:
            self._card.delete(self._find(request))
        except LookupError:
            yield _refuse(sequence, code, "File not found", delRet=-1)
        else:
            yield _agree(sequence, code, delRet=0)

    def _delete_all(self, code: int, sequence: int, request: Json) -> Iterator[Deed]:
        self._card.clear()
        yield _agree(sequence, code, delRet=0)

    def _format(self, code: int, sequence: int, request: Json) -> Iterator[Deed]:
        self._card.clear()
        card = self._card
        yield _agree(sequence, code, formatRet=0, sdTotalMB=card.total_mb, sdFreeMB=card.free_mb)

    def _take(self, code: int, sequence: int, request: Json) -> Iterator[Deed]:
        self._card.add(0 if code == 641 else 1, self._wall_clock)
        yield _agree(sequence, code)

    def _agreeing(self, code: int, sequence: int, request: Json) -> Iterator[Deed]:
        yield _agree(sequence, code)
        if code in _DEEDS:
            yield Do(_DEEDS[code])

    def _named(self, names: object) -> tuple[MediaFile, ...]:
        """The files that a request names; C{LookupError} when one is not there."""
        if not isinstance(names, list) or not all(isinstance(name, dict) for name in names):
            raise LookupError
        return tuple(self._find(name) for name in names)

    def _find(self, name: Json) -> MediaFile:
        file = self._card.find(
            integer(name, "fileType"), integer(name, "dirNum"), integer(name, "mediaNum")
        )
        if file is None:
            raise LookupError
        return file


_SUCCESS = {"errorMsg": "Success"}
_DEEDS = {258: "live", 259: "stop-live", 770: "stop-playing", 1286: "stop-files", 1281: "sleep"}
_ANSWERS: dict[int, Callable[[Visit, int, int, Json], Iterator[Deed]]] = {
    512: Visit._information,
    518: Visit._format,
    641: Visit._take,
    644: Visit._take,
    768: Visit._list,
    769: Visit._play,
    772: Visit._thumbnails,
    773: Visit._delete,
    774: Visit._delete_all,
    1285: Visit._download,
    **dict.fromkeys((1, 258, 259, 513, 643, 770, 1281, 1286), Visit._agreeing),
}


def respond(sequence: int, fields: Json) -> Speak:
    """A response on channel 0."""
    payload = encode_text(fields) + RESPONSE_TAIL
    return Speak(0, Message(MessageId.RESPONSE, sequence, payload).encode())


def make_token(wall_clock: int) -> int:
    """
    The token for a login at this time: C{srand(utcTime)}, C{rand() % 0x8FFFFFF + 1} of glibc.

    It depends on the time alone, so it protects nothing (C, W).
    """
    state = [wall_clock & 0xFFFFFFFF or 1]
    for _ in range(30):
        last = state[-1] - (state[-1] >> 31 << 32)  # the seed is a signed number
        state.append(16807 * last % 0x7FFFFFFF)
    state += state[:3]
    while len(state) < 345:
        state.append((state[-3] + state[-31]) & 0xFFFFFFFF)
    return (state[344] >> 1) % 0x8FFFFFF + 1


def _agree(sequence: int, code: int, **fields: int) -> Speak:
    # An answer with a result of its own has no message (C: 772).
    return respond(sequence, {**(fields or _SUCCESS), "result": 0, "cmdId": code})


def _refuse(sequence: int, code: int, why: str, **fields: int) -> Speak:
    return respond(sequence, {"errorMsg": why, **fields, "result": -1, "cmdId": code})


def _entry(file: MediaFile) -> Json:
    entry: Json = {
        "fileType": file.file_type,
        "mediaDirNum": file.directory,
        "mediaNum": file.number,
        "durationMs": file.duration_ms,
    }
    if file.media_id is not None:
        entry["mediaId"] = file.media_id
    if file.media_time is not None:
        entry["mediaTime"] = file.media_time
    return entry
