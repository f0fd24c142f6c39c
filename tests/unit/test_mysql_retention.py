"""How much log a MySQL or MariaDB server still has for a pipeline, and when it may remove it."""

from __future__ import annotations

import pytest

from connectors.mysql.catalogue import LogFile
from connectors.mysql.extent import Extent
from connectors.mysql.position import FilePlace
from connectors.mysql.retention import Limits, Needed, judge

FILES = [LogFile("binlog.000003", 1000), LogFile("binlog.000004", 2000), LogFile("binlog.000005", 500)]


def needed(file: str, offset: int) -> Needed:
    found = Needed.of(FILES, FilePlace(file, offset))
    assert found is not None
    return found


def test_what_is_behind_a_place() -> None:
    assert needed("binlog.000003", 400).behind == 600 + 2000 + 500
    assert needed("binlog.000005", 500).behind == 0
    assert needed("binlog.000005", 500).files == FILES[2:]


def test_a_file_of_which_nothing_is_left_but_its_end_is_not_needed() -> None:
    """The event at a file's end names the next one: 44 bytes here, and no transaction is as short."""
    assert needed("binlog.000003", 1000 - 44).files == FILES[1:]
    assert needed("binlog.000003", 1000 - 44).behind == 2500
    assert needed("binlog.000003", 1000 - 45).files == FILES


@pytest.mark.parametrize("place", [FilePlace("binlog.000002", 4), FilePlace("binlog.000005", 501)])
def test_a_place_that_is_not_in_the_log(place: FilePlace) -> None:
    assert Needed.of(FILES, place) is None


def test_the_limits_of_a_server() -> None:
    assert Limits.of({"binlog_expire_logs_seconds": "3600"}).seconds == 3600
    assert Limits.of({"binlog_expire_logs_seconds": "0", "expire_logs_days": "2.5"}).seconds == 216_000
    assert Limits.of({"expire_logs_days": "1"}).seconds_by == "expire_logs_days"
    assert Limits.of({"binlog_expire_logs_seconds": "9", "binlog_expire_logs_auto_purge": "OFF"}) == Limits(
        None, None, "binlog_expire_logs_seconds"
    )
    assert Limits.of({"max_binlog_total_size": "4096"}).bytes == 4096
    assert Limits.of({"max_binlog_total_size": "0"}).bytes is None


@pytest.mark.parametrize(
    ("age", "level", "left"),
    [
        (0, "ok", 3600),
        (1800, "ok", 1800),
        (1801, "warning", 1799),
        (3241, "error", 359),
        (4000, "error", 0),  # it has not rotated since
    ],
)
def test_the_age_of_the_oldest_file_that_is_needed(age: float, level: str, left: float) -> None:
    found = judge(needed("binlog.000003", 400), Limits(3600, None, "binlog_expire_logs_seconds"), age)
    assert (found.level, found.seconds, found.free, found.kept) == (level, left, None, 3100)
    assert found.found.startswith("3.1 kB of log behind the acknowledged position, from binlog.000003 on")
    assert ("SET GLOBAL binlog_expire_logs_seconds" in found.remedy) == (level != "ok")


@pytest.mark.parametrize(
    ("limit", "level", "free"), [(7001, "ok", 3501), (6999, "warning", 3499), (3600, "error", 100)]
)
def test_the_size_of_the_files_that_are_needed(limit: int, level: str, free: int) -> None:
    """Whole files, as the server counts them."""
    found = judge(needed("binlog.000003", 400), Limits(None, limit, "", "max_binlog_total_size"), 10)
    assert (found.level, found.seconds, found.free) == (level, None, free)
    assert ("SET GLOBAL max_binlog_total_size" in found.remedy) == (level != "ok")


def test_a_file_that_is_being_written_is_in_no_danger() -> None:
    found = judge(needed("binlog.000005", 100), Limits(10, 10, "a", "b"), None)
    assert (found.level, found.seconds, found.free, found.kept) == ("ok", None, None, 400)
    assert "being written" in found.found


def test_a_server_that_removes_nothing() -> None:
    found = judge(needed("binlog.000003", 400), Limits(), 10**6)
    assert (found.level, found.seconds, found.free) == ("ok", None, None)
    assert "removes none" in found.found


def test_what_was_read_of_the_log_is_in_it_although_the_list_is_older() -> None:
    extent = Extent()
    extent.listed(FILES)
    assert extent.files == FILES
    extent.read_to(FilePlace("binlog.000005", 700))
    assert extent.files == [*FILES[:2], LogFile("binlog.000005", 700)]
    extent.read_to(FilePlace("binlog.000006", 90))
    read = [*FILES[:2], LogFile("binlog.000005", 700), LogFile("binlog.000006", 90)]
    assert extent.files == read  # it was rotated since
    assert extent.behind(FilePlace("binlog.000004", 1500)) == 500 + 700 + 90
    extent.read_to(FilePlace("binlog.000007", 80))
    assert extent.files == [*read, LogFile("binlog.000007", 80)]
    extent.listed([*FILES[1:2], LogFile("binlog.000005", 720), LogFile("binlog.000006", 95)])
    assert [file.size for file in extent.files] == [2000, 720, 95, 80]
    extent.listed(FILES)
    extent.read_to(FilePlace("binlog.000004", 90))
    assert extent.files == FILES
