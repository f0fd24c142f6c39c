"""What docs/mysql.md says of the pipeline: its file is right, and the codes are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connectors.mysql.config import MySqlSettings
from connectors.mysql.source import MySqlSource
from tailrace.abc import SourceContext
from tailrace.config import loads
from tailrace.errors import ConfigurationError, registered_codes

PAGE = (Path(__file__).parents[2] / "docs" / "mysql.md").read_text()
FILE = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)[0]


def test_the_file_is_right_for_both() -> None:
    for kind in ("mysql", "mariadb"):
        text = FILE.replace("type: mysql ", f"type: {kind} ")
        loads(text, "shop.yaml", {"MYSQL_PWD": "secret"})


def test_the_codes_are_those_of_the_program() -> None:
    known = {code.id for code in registered_codes()}
    assert set(re.findall(r"TR-MY-\d{3}", PAGE)) <= known


@pytest.mark.parametrize(
    ("line", "instead", "told"),
    [
        ("snapshot: never", "snapshot: initial", "not available"),
        ("ssl_mode: verify_identity", "ssl_mode: preferred", "ssl_ca is for"),
        ("db.example.org:3306/", "db.example.org:3306/shop?ssl=1", "TLS is said beside it"),
        ("db.example.org:3306/", "db.example.org:99999/", "looks like"),
        ("mysql://tailrace@", "postgresql://tailrace@", "looks like"),
        ("mysql://tailrace@", "mysql://", "looks like"),
        ("mysql://tailrace@", "mysql://tailrace:inside@", "inside the URL and beside it"),
        ("audit.events", "events", "schema.table"),
        ("snapshot: never", "snapshot: never\n  include_schema_changes: true", "not available"),
        ("snapshot: never", "snapshot: never\n  server_id: 0", "server_id"),
        ("/etc/ssl/mysql-ca.pem", "mysql-ca.pem", "begins with /"),
    ],
)
def test_what_the_file_may_not_say(line: str, instead: str, told: str) -> None:
    assert line in FILE
    with pytest.raises(ConfigurationError) as raised:
        loads(FILE.replace(line, instead), "shop.yaml", {"MYSQL_PWD": "secret"})
    said = " ".join(f"{fault} {fault.remedy}" for fault in raised.value.faults)
    assert told in said
    assert "inside@" not in said


def test_the_server_id_is_made_from_the_pipelines_name() -> None:
    """High, so as not to be a server's, and the same at each start; `explain` shows it."""

    def made(name: str) -> int:
        settings = MySqlSettings.model_validate(
            {"url": "mysql://a@b/", "tables": ["shop.*"], "snapshot": "never"}
        )
        [shown] = MySqlSource(settings, SourceContext(name)).explain().made
        return int(shown.split()[1])

    assert made("orders") == made("orders") != made("shop")
    assert all(1 << 31 <= made(name) < 1 << 32 for name in ("orders", "shop", "a"))
