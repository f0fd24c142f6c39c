"""What the servers' mysqlbinlog prints, read back: known texts of both programs, values in all forms."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.truth.binlog_text import Column, RowChange, Statement, transactions
from tests.truth.binlog_values import to_json
from tests.truth.binlog_witness import holds

_MYSQL = rb"""
#261128  1:25:12 server id 7  end_log_pos 5561 	GTID	original_committed_timestamp=1795829112656636
SET @@SESSION.GTID_NEXT= '8D0A62F1-eaca-11f1-a2db-02fc00000001:17'/*!*/;
# at 5561
#261128  1:25:12 server id 7  end_log_pos 5649 CRC32 0xda9f2336 	Query	thread_id=29
use `shop`/*!*/;
SET TIMESTAMP=1795829112/*!*/;
BEGIN
/*!*/;
#261128  1:25:12 server id 7  end_log_pos 5773 	Table_map: `shop`.`line items` mapped to number 110
# has_generated_invisible_primary_key=0
# Columns(`id` INT UNSIGNED NOT NULL,
#         `l` VARCHAR(50) CHARSET latin1 COLLATE latin1_swedish_ci,
#         `e` ENUM('a', 'b c') CHARSET utf8mb4 COLLATE utf8mb4_0900_ai_ci,
#         `n` DECIMAL(18,4))
# Primary Key(id)
#261128  1:25:12 server id 7  end_log_pos 5953 	Update_rows: table id 110 flags: STMT_END_F
### Extra row info for partitioning: partition: 1
### UPDATE `shop`.`line items`
### WHERE
###   @1=-1 (4294967295) /* INT meta=0 nullable=0 is_null=0 */
###   @2='it\'s\n' /* VARSTRING(50) meta=50 nullable=1 is_null=0 */
###   @3=2 /* ENUM(1 byte) meta=63233 nullable=1 is_null=0 */
###   @4=NULL /* DECIMAL(18,4) meta=4612 nullable=1 is_null=1 */
### SET
###   @1=-1 (4294967295) /* INT meta=0 nullable=0 is_null=0 */
###   @2=NULL /* VARSTRING(50) meta=50 nullable=1 is_null=1 */
###   @3=1 /* ENUM(1 byte) meta=63233 nullable=1 is_null=0 */
###   @4=-12.5000 /* DECIMAL(18,4) meta=4612 nullable=1 is_null=0 */
#261128  1:25:13 server id 7  end_log_pos 766744 CRC32 0xba30e38c 	Xid = 168
COMMIT/*!*/;
#261128  1:25:13 server id 7  end_log_pos 766821 	GTID	original_committed_timestamp=1795829113236950
SET @@SESSION.GTID_NEXT= '8d0a62f1-eaca-11f1-a2db-02fc00000001:18'/*!*/;
#261128  1:25:13 server id 7  end_log_pos 766934 CRC32 0x060eeceb 	Query	thread_id=32	Xid = 172
SET TIMESTAMP=1795829113/*!*/;
/*!80013 SET @@session.sql_require_primary_key=0*//*!*/;
TRUNCATE TABLE orders
/*!*/;
#261128  1:25:14 server id 7  end_log_pos 766991 	GTID	original_committed_timestamp=1795829114236950
SET @@SESSION.GTID_NEXT= '8d0a62f1-eaca-11f1-a2db-02fc00000001:19'/*!*/;
#261128  1:25:14 server id 7  end_log_pos 766999 CRC32 0x060eeceb 	Query	thread_id=32
BEGIN
/*!*/;
SET @@SESSION.GTID_NEXT= 'AUTOMATIC' /* added by mysqlbinlog */ /*!*/;
"""

_MARIADB = rb"""
#261128  1:25:18 server id 9  end_log_pos 4712 CRC32 0x1d5e7ee7 	GTID 0-9-17 trans thread_id=24
/*M!100001 SET @@session.gtid_seq_no=17*//*!*/;
START TRANSACTION
/*!*/;
#261128  1:25:18 server id 9  end_log_pos 0 CRC32 0x007def50 	Annotate_rows:
#Q> INSERT INTO t VALUES (1, 'it\'s\n')
#261128  1:25:18 server id 9  end_log_pos 0 CRC32 0xbf4e3ba4 	Table_map: `shop`.`t` mapped to number 21
# Columns(`id` INT NOT NULL,
#         `v` VARBINARY(300))
# Primary Key(id)
#261128  1:25:18 server id 9  end_log_pos 0 CRC32 0xe5a64153 	Write_rows: table id 21 flags: STMT_END_F
### INSERT INTO `shop`.`t`
### SET
###   @1=1 /* INT meta=0 nullable=0 is_null=0 */
###   @2='it's\x0a \u00e4' /* VARSTRING(300) meta=300 nullable=1 is_null=0 */
# Number of rows: 1
#261128  1:25:19 server id 9  end_log_pos 5731 CRC32 0xe5a64153 	Xid = 31
COMMIT/*!*/;
"""


def test_mysql() -> None:
    """One that has no end did not happen."""
    first, second = transactions(_MYSQL.splitlines(keepends=True), "mysql")
    assert (first.gtid, first.server_id) == ("8d0a62f1-eaca-11f1-a2db-02fc00000001:17", 7)
    assert first.microseconds == 1795829112656636
    [change] = first.content
    assert isinstance(change, RowChange)
    assert (change.op, change.table.name, change.table.key) == ("UPDATE", ("shop", "line items"), (0,))
    assert change.before == (b"-1 (4294967295)", b"it's\n", b"2", None)
    assert change.after == (b"-1 (4294967295)", None, b"1", b"-12.5000")
    assert change.table.columns == (
        Column("id", "int", (), True, None, ()),
        Column("l", "varchar", (50,), False, "latin1", ()),
        Column("e", "enum", (), False, "utf8mb4", ("a", "b c")),
        Column("n", "decimal", (18, 4), False, None, ()),
    )
    assert second.content == [Statement("shop", "TRUNCATE TABLE orders", 1795829113)]


def test_mariadb() -> None:
    [only] = transactions(_MARIADB.splitlines(keepends=True), "mariadb")
    assert (only.gtid, only.server_id, only.microseconds) == ("0-9-17", 9, 1795829119_000000)
    [change] = only.content
    assert isinstance(change, RowChange)
    assert (change.before, change.after) == (None, (b"1", b"it's\n \\u00e4"))


def bytes64(*data: int) -> str:
    return base64.b64encode(bytes(data)).decode()


def column(type: str, *numbers: int, **rest: Any) -> Column:
    given = {"unsigned": False, "charset": None, "labels": (), **rest}
    return Column("c", type, numbers, **given)


@pytest.mark.parametrize(
    ("declared", "text", "json"),
    [
        (column("int"), b"-1 (4294967295)", -1),
        (column("int", unsigned=True), b"-1 (4294967295)", 4294967295),
        (column("bigint"), b"7", 7),
        (column("decimal", 18, 4), b"-12.5000", bytes64(0xFE, 0x17, 0xB8)),
        (column("double"), b"1.1000000000000000888", 1.1),
        (column("float"), b"1.1                 ", 1.1),
        (column("bit", 1), b"b'1'", True),
        (column("bit", 21), b"b'000000000000100000101'", bytes64(5, 1, 0)),
        (column("year"), b"2024", 2024),
        (column("date"), b"1970:01:02", 1),
        (column("datetime", 6), b"1970-01-01 00:00:01.500000", 1_500_000),
        (column("datetime", 3), b"1969-12-31 23:59:59.500", -500),
        (column("datetime"), b"1970-01-01 00:00:01", 1000),
        (column("timestamp", 3), b"1709168523.500", "2024-02-29T01:02:03.500Z"),
        (column("timestamp"), b"1709168523", "2024-02-29T01:02:03Z"),
        (column("time", 4), b"-10:11:12.5000", -36_672_500_000),
        (column("enum", labels=("a", "b c")), b"2", "b c"),
        (column("set", labels=("x", "y", "z")), b"b'00000101'", "x,z"),
        (column("varchar", 9, charset="latin1"), b"\xdf\x80", "ß€"),
        (column("varchar", 9, charset="ucs2"), b"\x6f\x22", "漢"),
        (column("binary", 4), b"a", bytes64(0x61, 0, 0, 0)),
        (column("blob"), b"\0\xff", bytes64(0, 255)),
        (column("json"), b'{"a": "\\n"}', '{"a": "\\n"}'),
        (column("text", charset="utf8mb4"), None, None),
    ],
)
def test_values(declared: Column, text: bytes | None, json: Any) -> None:
    assert to_json(declared, text) == json


def test_a_float_is_compared_by_the_digits_that_are_printed() -> None:
    printed = to_json(column("float"), b"1.23457e+09")
    assert printed == 1234567890.0
    assert printed != 1234667890.0


@pytest.mark.parametrize(
    ("executed", "gtid", "held"),
    [
        ("aa:1-7:9", "aa:7", True),
        ("aa:1-7:9", "aa:8", False),
        ("aa:1-7,\nbb:3", "bb:3", True),
        ("aa:1-7", "bb:3", False),
        ("0-1-77,1-1-5", "0-2-77", True),
        ("0-1-77,1-1-5", "1-1-6", False),
        ("", "0-1-1", False),
    ],
)
def test_what_was_executed(executed: str, gtid: str, held: bool) -> None:
    assert holds(executed, gtid) is held
