"""How much of a server's log lies before and behind a place: bytes over all of its files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.mysql.catalogue import LogFile
from connectors.mysql.position import FilePlace


class Extent:
    """The files as the server last listed them, and how far a stream has read them and what came since."""

    def __init__(self) -> None:
        self._files: Sequence[LogFile] = ()
        self._begins: dict[str, int] = {}  # of each file, in bytes from the oldest one's begin on
        self._end = 0
        self._read: dict[str, FilePlace] = {}  # of each file that was read since, oldest first

    def listed(self, files: Sequence[LogFile]) -> None:
        """The server's list of now, oldest first."""
        self._files = files
        begin = 0
        self._begins = {}
        for file in files:
            self._begins[file.name] = begin
            begin += file.size
        self._end = begin
        self._read = dict(list(self._read.items())[-1:])

    @property
    def files(self) -> Sequence[LogFile]:
        """As they were listed, oldest first; those that were read at least as long as that."""
        if not self._files or not self._read:
            return self._files
        listed = [LogFile(file.name, self._length(file)) for file in self._files]
        return [*listed, *(LogFile(place.file, place.offset) for place in self._newer())]

    def read_to(self, place: FilePlace | None) -> None:
        """A stream has come so far."""
        if place is None:
            return
        if any(place.number < read.number for read in reversed(self._read.values())):
            self._read = {}  # it was begun again
        self._read[place.file] = place

    def behind(self, place: FilePlace) -> int | None:
        """Bytes of log behind a place. None where its file is not among those that are known."""
        begin = self._begins.get(place.file)
        if begin is None:
            return None
        end = self._end + sum(newer.offset for newer in self._newer())
        newest = self._files[-1]
        return max(end + self._length(newest) - newest.size - begin - place.offset, 0)

    def _length(self, file: LogFile) -> int:
        read = self._read.get(file.name)
        return file.size if read is None else max(file.size, read.offset)

    def _newer(self) -> Iterator[FilePlace]:
        """How far the files were read that the list does not have yet."""
        last = FilePlace(self._files[-1].name, 0).number
        return (
            place for name, place in self._read.items() if name not in self._begins and place.number > last
        )
