"""Photos and thumbnails: what arrives on channels 3 and 4 (PROTOCOL, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from trailcam.commands import MediaFile
from trailcam.errors import DamagedTransfer, DecodeError
from trailcam.logs import make_logger
from trailcam.sinks import FileSink
from trailcam.wire.artemis import Begin, Chunk, End, Message, MessageId, Part, StreamScanner
from trailcam.wire.media import FILE_HEADER_SIZE, FileHeader, ThumbnailHeader

__all__ = ["PhotoReceiver", "ThumbnailReceiver"]

#: No photo of any camera of this family comes near; what claims more is not believed.
LONGEST_PHOTO = 256 << 20

Name = tuple[int, int]


def _name(file: MediaFile) -> Name:
    return file.directory, file.number


@dataclass
class _Arriving:
    """The photo whose bytes are arriving."""

    name: Name
    header: FileHeader
    sink: FileSink
    done: Deferred[FileSink]
    left: int
    tail: bytes = b""


class PhotoReceiver:
    """
    Takes the photos of one request apart, in whatever order they come.

    A photo is whole when as many bytes have come as its header says, and the
    last 8 are those that the header names.
    """

    log = make_logger(__name__)

    def __init__(self, open_sink: Callable[[MediaFile], FileSink]) -> None:
        self._open_sink = open_sink
        self._expected: dict[Name, tuple[MediaFile, Deferred[FileSink]]] = {}
        self._head: bytearray | None = None
        self._claimed = 0
        self._arriving: _Arriving | None = None

    def expect(self, file: MediaFile) -> Deferred[FileSink]:
        """
        Wait for one photo.

        @return: fires with its sink, which holds all its bytes and is to be
            finished; fails with L{DamagedTransfer} (the sink is then dropped already).
        """
        done: Deferred[FileSink] = Deferred(lambda _: self.forget(file))
        self._expected[_name(file)] = file, done
        return done

    def forget(self, file: MediaFile) -> None:
        """Wait no more for it; what of it has arrived is dropped."""
        self._expected.pop(_name(file), None)
        if self._arriving is not None and self._arriving.name == _name(file):
            self._arriving.sink.abort()
            self._arriving = None

    def handle(self, part: Part, scanner: StreamScanner) -> None:
        """Take one part of channel 3's stream."""
        match part:
            case Begin(ident, _, length):
                self._lose("the next file began")
                self._head = bytearray() if ident == MessageId.FILE else None
                self._claimed = length
            case Chunk(data):
                self._data(data, scanner)
            case End():
                self._lose("its message ended early")
                self._head = None

    def _data(self, data: bytes, scanner: StreamScanner) -> None:
        if self._head is not None:
            self._head += data
            if len(self._head) < FILE_HEADER_SIZE:
                return
            data = bytes(self._head[FILE_HEADER_SIZE:])
            head, self._head = bytes(self._head[:FILE_HEADER_SIZE]), None
            if not self._begin(head):
                scanner.abandon(data)
                return
        if self._arriving is not None:
            self._take(data, scanner)

    def _begin(self, head: bytes) -> bool:
        """Read the header; whether it is a photo that we wait for."""
        try:
            header = FileHeader.decode(head)
        except DecodeError as error:
            self.log.debug("a file was passed over: {error}", error=str(error))
            return False
        name = header.directory, header.number
        if name not in self._expected:
            self.log.debug("a file that nobody waits for: {name}", name=name)
            return False
        file, done = self._expected[name]
        longest = min(LONGEST_PHOTO, self._claimed - FILE_HEADER_SIZE)
        if not len(header.tail) <= header.length <= longest:
            self._expected.pop(name)
            done.errback(DamagedTransfer(f"{file.label}: its header claims an impossible length"))
            return False
        if file.media_id is not None and header.media_id != file.media_id:
            self.log.debug("{file}: the header names another media id", file=file.label)
        self._arriving = _Arriving(name, header, self._open_sink(file), done, header.length)
        return True

    def _take(self, data: bytes, scanner: StreamScanner) -> None:
        arriving = self._arriving
        assert arriving is not None
        data, rest = data[: arriving.left], data[arriving.left :]
        arriving.left -= len(data)
        arriving.sink.write(data)
        if arriving.left < 8:  # before that, none of it is among the last 8
            arriving.tail = (arriving.tail + data)[-8:]
        if arriving.left:
            return
        # Whatever the message claims beyond this: the next header may be there already.
        scanner.abandon(rest)
        if arriving.tail != arriving.header.tail:
            self._lose("its last bytes are not those that were announced")
            return
        self._arriving = None
        self._expected.pop(arriving.name, None)
        arriving.done.callback(arriving.sink)

    def _lose(self, why: str) -> None:
        arriving, self._arriving = self._arriving, None
        if arriving is not None:
            arriving.sink.abort()
            file, done = self._expected.pop(arriving.name)
            done.errback(DamagedTransfer(f"{file.label} arrived damaged: {why}"))


class ThumbnailReceiver:
    """Takes the thumbnails of one request, in whatever order they come."""

    def __init__(self, files: Iterable[MediaFile]) -> None:
        self._expected = {file.key: file for file in files}
        self._done: Deferred[dict[MediaFile, bytes]] = Deferred()
        self._received: dict[MediaFile, bytes] = {}
        if not self._expected:
            self._done.callback(self._received)

    @property
    def done(self) -> Deferred[dict[MediaFile, bytes]]:
        """Fires with the JPEG data of each, when all have come."""
        return self._done

    @property
    def received(self) -> dict[MediaFile, bytes]:
        """What has come so far."""
        return self._received

    def handle(self, part: Part, scanner: StreamScanner) -> None:
        """Take one part of channel 4's stream."""
        if self._done.called or not isinstance(part, Message) or part.id != MessageId.THUMBNAIL:
            return
        try:
            header = ThumbnailHeader.decode(part.payload)
        except DecodeError:
            return
        data = part.payload[FILE_HEADER_SIZE : FILE_HEADER_SIZE + header.length]
        file = self._expected.get((header.file_type, header.directory, header.number))
        if file is None or len(data) < header.length:
            return
        self._received[file] = data
        if len(self._received) == len(self._expected):
            self._done.callback(self._received)
