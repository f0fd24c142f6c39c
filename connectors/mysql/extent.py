"""How much of a server's log lies before and behind a place: bytes over all of its files."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.mysql.position import FilePlace
from connectors.mysql.server import LogFile


class Extent:
    """The files as the server last listed them, and how far a stream has read them."""

    def __init__(self) -> None:
        self._files: Sequence[LogFile] = ()
        self._begins: dict[str, int] = {}  # of each file, in bytes from the oldest one's begin on
        self._end = 0
        self._read: FilePlace | None = None

    def listed(self, files: Sequence[LogFile]) -> None:
        """The server's list of now, oldest first."""
        self._files = files
        begin = 0
        self._begins = {}
        for file in files:
            self._begins[file.name] = begin
            begin += file.size
        self._end = begin

    @property
    def files(self) -> Sequence[LogFile]:
        """As they were listed, oldest first; the newest one at least as long as it was read."""
        read, files = self._read, self._files
        if read is None or not files:
            return files
        newest = LogFile(read.file, read.offset)
        if read.file not in self._begins and read.number > FilePlace(files[-1].name, 0).number:
            return [*files, newest]
        if read.file == files[-1].name and read.offset > files[-1].size:
            return [*files[:-1], newest]
        return files

    def read_to(self, place: FilePlace | None) -> None:
        """A stream has come so far."""
        self._read = place or self._read

    def behind(self, place: FilePlace) -> int | None:
        """Bytes of log behind a place. None where its file is not among those that are known."""
        begin = self._begins.get(place.file)
        if begin is None:
            return None
        end = self._end
        if self._read is not None and self._read.file in self._begins:
            end = max(end, self._begins[self._read.file] + self._read.offset)
        return max(end - begin - place.offset, 0)
