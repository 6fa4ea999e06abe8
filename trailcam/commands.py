"""
The JSON commands of channel 0, one frozen class each, and their replies
(PROTOCOL, section 3).

A command knows its C{cmdId}, its fields, and how to read its reply. What the
camera says is checked here: a reply is typed and bounded, or it is refused
with L{DecodeError} or L{CommandFailed}. What changes the card is in
L{trailcam.cardcommands}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from trailcam.errors import CommandFailed, DecodeError, LoginRefused
from trailcam.wire import cipher

__all__ = [
    "CHANGING",
    "Acknowledged",
    "Command",
    "DeviceInformation",
    "Download",
    "GetDeviceInformation",
    "Heartbeat",
    "ListMedia",
    "Login",
    "MediaFile",
    "MediaPage",
    "Play",
    "PlaybackInfo",
    "Raw",
    "Sleep",
    "StartLive",
    "StopDownload",
    "StopLive",
    "StopPlaying",
    "Thumbnails",
    "decode_text",
    "encode_text",
]

Json = dict[str, Any]
Reply = TypeVar("Reply")

#: Commands that change or erase something, and so are sent only when a person confirmed it.
CHANGING = frozenset({513, 514, 515, 516, 517, 518, 522, 523, 773, 774, 1024, *range(1280, 1285),
                      *range(1287, 1293)}) - {1281}  # fmt: skip

#: The most that one page of the media list holds; 50 and more is refused (evidence W).
PAGE_SIZE = 45

#: So many levels of objects and lists are read (a camera sends 4): what is deeper is a bomb for
#: whoever walks through it, and how deep a parser goes depends on the version of Python.
DEEPEST = 32


def encode_text(fields: Mapping[str, object]) -> bytes:
    """JSON, compact, encrypted: the payload of a request or response."""
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    return cipher.encrypt_text(text.encode("utf-8", "replace"))


def decode_text(payload: bytes) -> Json:
    """
    The JSON object in the payload of a request or response.

    @raise DecodeError: when there is none.
    """
    try:
        value = json.loads(cipher.decrypt_text(payload))
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"command text that is not JSON: {type(error).__name__}") from None
    if not isinstance(value, dict):
        raise DecodeError("command text that is not a JSON object")
    if _deeper(value, DEEPEST):
        raise DecodeError("command text that is nested too deeply")
    return value


class Command(Generic[Reply]):
    """
    What is asked of a camera.

    @cvar cmd_id: the C{cmdId}.
    """

    cmd_id: ClassVar[int]

    @property
    def code(self) -> int:
        """The C{cmdId} of this very command."""
        return self.cmd_id

    def fields(self) -> Json:
        """The fields beside C{cmdId} and C{token}."""
        return {}

    def reply(self, response: Json) -> Reply:
        """
        Read the answer to this command.

        @raise CommandFailed: when it is an error.
        @raise DecodeError: when it lacks what such an answer has.
        """
        raise NotImplementedError

    def check(self, response: Json, *names: str) -> None:
        """
        Refuse an error.

        @param names: fields that, like C{result}, must be 0 where they are present.
        @raise CommandFailed: when one is not.
        """
        for name in ("result", *names):
            if response.get(name, 0) != 0:
                reason = clean(response.get("errorMsg")) or f"{name} {clean(response[name])}"
                raise CommandFailed(f"the camera refused command {self.code}: {reason}", response)


class Acknowledged(Command[Json]):
    """A command whose answer says only whether it worked."""

    def reply(self, response: Json) -> Json:
        self.check(response, "cmdRet", "delRet", "formatRet")
        return response


@dataclass(frozen=True)
class Login(Command[int]):
    """
    Open the session for commands.

    @ivar wall_clock: the local time as seconds, counted as if it were UTC
        ("Times are local"): the camera sets its clock by it.
    """

    cmd_id = 0
    wall_clock: int
    user: str = "admin"
    password: str = field(default="admin", repr=False)

    def fields(self) -> Json:
        return {
            "usrName": self.user,
            "password": self.password,
            "needVideo": 0,
            "needAudio": 0,
            "utcTime": self.wall_clock,
            "supportHeartBeat": True,
        }

    def reply(self, response: Json) -> int:
        """The token for the commands that follow."""
        if response.get("result", -1) != 0:
            reason = clean(response.get("errorMsg")) or f"result {clean(response.get('result'))}"
            raise LoginRefused(f"the camera refused the login: {reason}; check user and password")
        return integer(response, "token")


@dataclass(frozen=True)
class Heartbeat(Command[None]):
    """Every 3 s once logged in; without token, and without an answer."""

    cmd_id = 525


class StartLive(Acknowledged):
    """Begin to send live frames on channel 1."""

    cmd_id = 258


class StopLive(Acknowledged):
    """Stop it; a few frames more may come."""

    cmd_id = 259


class Sleep(Acknowledged):
    """Sleep now (evidence P)."""

    cmd_id = 1281


class StopPlaying(Acknowledged):
    """Stop the playback of a video."""

    cmd_id = 770


class StopDownload(Acknowledged):
    """Stop sending files (evidence P)."""

    cmd_id = 1286


@dataclass(frozen=True)
class DeviceInformation:
    """
    What a camera says of itself.

    @ivar fields: the whole answer, about 70 fields; whatever is not named here is there.
    """

    fields: Json

    @property
    def device_id(self) -> str:
        """The unit's own id, like C{C6:00:00:00:00:01}; from outside, so of any characters."""
        return clean(self.fields.get("devId"))

    @property
    def model(self) -> str:
        """Like C{KJK230}."""
        return clean(self.fields.get("modelName"))

    @property
    def firmware(self) -> str:
        """Like C{2.3.0.4}."""
        return clean(self.fields.get("fwVerName"))

    @property
    def battery_percent(self) -> int | None:
        """0 to 100, where the camera says it."""
        percent = optional_integer(self.fields, "batPercent")
        return percent if percent is not None and 0 <= percent <= 100 else None

    @property
    def card_total_mb(self) -> int | None:
        """The size of the card in MB."""
        return optional_integer(self.fields, "sdTotalMB")

    @property
    def card_free_mb(self) -> int | None:
        """What is free on the card in MB."""
        return optional_integer(self.fields, "sdFreeMB")

    @property
    def temperature(self) -> int | None:
        """Degrees Celsius, as far as known."""
        return optional_integer(self.fields, "temperature")


class GetDeviceInformation(Command[DeviceInformation]):
    """Battery, card, versions, settings."""

    cmd_id = 512

    def reply(self, response: Json) -> DeviceInformation:
        self.check(response)
        return DeviceInformation(response)


@dataclass(frozen=True, slots=True)
class MediaFile:
    """
    One photo or video on the card.

    @ivar file_type: 0 photo, 1 video (MP4), 2 video (AVI).
    @ivar directory: the card's directory number.
    @ivar number: the number in it.
    @ivar duration_ms: of a video; 0 for a photo.
    @ivar media_id: the camera's own number for it; some leave it out.
    @ivar media_time: the camera's wall clock, seconds counted as if it were UTC; some leave it out.
    """

    file_type: int
    directory: int
    number: int
    duration_ms: int = 0
    media_id: int | None = None
    media_time: int | None = None

    @property
    def is_photo(self) -> bool:
        """Whether it is a photo, which can be downloaded; a video is played."""
        return self.file_type == 0

    @property
    def key(self) -> tuple[int, int, int]:
        """What commands and headers call it by: type, directory, number."""
        return self.file_type, self.directory, self.number

    @property
    def label(self) -> str:
        """Like C{photo 100-0318}, for people."""
        return f"{'photo' if self.is_photo else 'video'} {self.directory}-{self.number:04d}"

    @property
    def file_name(self) -> str:
        """A plain name for a file of it, like C{photo-100-0318.jpg}; a video becomes an MP4."""
        return self.label.replace(" ", "-") + (".jpg" if self.is_photo else ".mp4")

    @classmethod
    def from_json(cls, entry: object) -> MediaFile:
        """
        Read one entry of a media list.

        @raise DecodeError: when a field is missing or out of its range.
        """
        if not isinstance(entry, dict):
            raise DecodeError("a media entry that is not an object")
        return cls(
            integer(entry, "fileType", 2),
            integer(entry, "mediaDirNum", 0xFFFF),
            integer(entry, "mediaNum", 0xFFFF),
            optional_integer(entry, "durationMs") or 0,
            optional_integer(entry, "mediaId"),
            optional_integer(entry, "mediaTime"),
        )

    def request(self) -> Json:
        """As commands name it."""
        return {"fileType": self.file_type, "dirNum": self.directory, "mediaNum": self.number}


@dataclass(frozen=True)
class MediaPage:
    """
    One page of the media list.

    @ivar files: what could be read.
    @ivar refused: how many entries could not.
    @ivar count: how many entries the page had.
    """

    files: tuple[MediaFile, ...]
    refused: int
    count: int


@dataclass(frozen=True)
class ListMedia(Command[MediaPage]):
    """One page of what is on the card; the last page is shorter than C{size}."""

    cmd_id = 768
    page: int
    size: int = PAGE_SIZE

    def fields(self) -> Json:
        return {"itemCntPerPage": self.size, "pageNo": self.page}

    def reply(self, response: Json) -> MediaPage:
        self.check(response, "getMediaListRet")
        entries = response.get("mediaFiles")
        if not isinstance(entries, list):
            raise DecodeError("a media list without mediaFiles")
        files = []
        for entry in entries:
            try:
                files.append(MediaFile.from_json(entry))
            except DecodeError:
                continue
        return MediaPage(tuple(files), len(entries) - len(files), len(entries))


@dataclass(frozen=True)
class PlaybackInfo:
    """
    What a camera says of the video it begins to play.

    @ivar total_frames: how many video frames will come.
    @ivar total_ms: how long it is.
    """

    width: int
    height: int
    total_frames: int
    total_ms: int


@dataclass(frozen=True)
class Play(Command[PlaybackInfo]):
    """
    Play a video: its frames come on channel 2.

    @ivar session_number: below 65536; the frames carry it.
    """

    cmd_id = 769
    file: MediaFile
    session_number: int

    def fields(self) -> Json:
        return {**self.file.request(), "sessionNo": self.session_number}

    def reply(self, response: Json) -> PlaybackInfo:
        self.check(response, "startPbRet")
        return PlaybackInfo(
            optional_integer(response, "videoWidth") or 0,
            optional_integer(response, "videoHeight") or 0,
            integer(response, "totalFrame"),
            optional_integer(response, "totalTime") or 0,
        )


@dataclass(frozen=True)
class Thumbnails(Acknowledged):
    """Send thumbnails on channel 4, at most 45 at a time."""

    cmd_id = 772
    files: Sequence[MediaFile]

    def fields(self) -> Json:
        return {"thumbnailReqs": [file.request() for file in self.files]}


@dataclass(frozen=True)
class Download(Acknowledged):
    """Send photos on channel 3, at most 3 at a time."""

    cmd_id = 1285
    files: Sequence[MediaFile]

    def fields(self) -> Json:
        return {"downloadReqs": [file.request() for file in self.files]}


@dataclass(frozen=True)
class Raw(Command[Json]):
    """
    Any command as JSON, for whoever knows what it does. Its answer is given back as it is.

    @ivar request: C{cmdId} and fields; the token is added.
    """

    request: Json

    def __post_init__(self) -> None:
        if not isinstance(self.request, dict):
            raise DecodeError("a command is a JSON object")
        integer(self.request, "cmdId", 0xFFFF)

    @property
    def code(self) -> int:
        return int(self.request["cmdId"])

    def fields(self) -> Json:
        return {name: value for name, value in self.request.items() if name != "cmdId"}

    def reply(self, response: Json) -> Json:
        return response


def _deeper(value: object, levels: int) -> bool:
    """Whether lists and objects lie in each other on more than so many levels."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return levels == 0 or any(_deeper(inner, levels - 1) for inner in value)


def integer(fields: Json, name: str, most: int = (1 << 63) - 1) -> int:
    """
    A whole number from 0 to C{most}.

    @raise DecodeError: when C{fields} has no such number under C{name}.
    """
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise DecodeError(f"{name} is not a number from 0 to {most}")
    return value


def optional_integer(fields: Json, name: str) -> int | None:
    """A whole number of at most 63 bits, or C{None} when it is absent or is something else."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
        return None
    return value


def clean(value: object, most: int = 64) -> str:
    """What a camera says, fit for a log or a screen: printable and short."""
    if not isinstance(value, str | int | float):
        return ""
    text = "".join(c if c.isprintable() else "?" for c in str(value)[: most + 1])
    return text if len(text) <= most else text[: most - 1] + "…"
