"""Each type that the page of types lists is compared with what a server tells, and each setting of the source
and of its formats is in a recording of Debezium's or in a test: what is added has to be added here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from connectors.mysql.config import MariaDbSettings, MySqlSettings
from tailrace.formats.debezium import DebeziumFormat
from tailrace.formats.flat import FlatFormat
from tailrace.formats.plain import PlainFormat
from tests.golden.binlog.options import OPTIONS
from tests.integration.test_mysql_types import CASES

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "mysql-types.md").read_text()

_RECORDED: Final = "recorded"
_FOREIGN: Final = "of no type of MySQL or MariaDB"
_PARTIAL: Final = "integration/test_mysql_partial_rows.py::test_the_key_and_what_changed"
_CERTIFICATE: Final = "integration/test_mysql_refusals.py::test_the_certificate_of_a_server_is_asked_for"
_CLIENT: Final = "integration/test_mysql_refusals.py::test_a_certificate_of_the_client"
_TOLD: Final = "integration/test_mysql_transaction_metadata.py::test_begin_end_and_orders"
_HOSTS: Final = "integration/test_mysql_hosts.py::test_a_primary_that_is_to_follow_is_left"
_REFUSING: Final = "integration/test_mysql_hosts.py::test_a_server_that_takes_no_new_connections_is_left"
_KINDS: Final = "integration/test_mysql_source.py::test_every_kind_of_transaction_and_a_start_behind_each"
_DELETES: Final = "unit/test_flat_format.py::test_deletes"
_FIELDS: Final = "unit/test_flat_format.py::test_fields_are_added_in_their_order_under_debezium_s_names"
_SETTINGS: Final = "unit/test_flat_format.py::test_settings"
_FLAT: Final = "unit/test_flat_format.py::test_values_are_written_as_the_settings_of_debezium_say"

#: What shows a setting, by its name; one of several values by each that is not the default.
SOURCE: Final[Mapping[str, str]] = {
    "bigint_unsigned_handling_mode: precise": _RECORDED,
    "zero_dates: null": _RECORDED,
    "zero_dates: epoch": _RECORDED,
    "url": _HOSTS,
    "target_session_attrs: any": _HOSTS,
    "target_session_attrs: primary": _HOSTS,
    "password": "integration/test_bad_input_mysql.py::test_a_wrong_password",
    "ssl_mode: disabled": _REFUSING,
    "ssl_mode: required": _CERTIFICATE,
    "ssl_mode: verify_ca": _CERTIFICATE,
    "ssl_mode: verify_identity": _CERTIFICATE,
    "ssl_ca": _CERTIFICATE,
    "ssl_cert": _CLIENT,
    "ssl_key": _CLIENT,
    "tables": "integration/test_bad_input_mysql.py::test_a_pattern_that_matches_nothing",
    "exclude": "integration/test_mysql_refusals.py::test_tables",
    "snapshot: never": _KINDS,
    "keyless: inserts_only": "integration/test_mysql_keyless.py::test_inserts_alone",
    "keyless: all": "integration/test_mysql_keyless.py::test_everything_without_a_key",
    "row_images: partial": _PARTIAL,
    "include_query": "integration/test_mysql_queries.py::test_each_change_has_its_own_statement",
    "provide_transaction_metadata": _TOLD,
    "transaction_topic": "crash/rig.py",
    "server_id": "integration/test_mysql_refusals.py::test_a_server_id_is_one_readers_alone",
    "silence_timeout": "integration/test_mysql_hosts.py::test_a_line_on_which_nothing_comes_through",
}
_VALUES: Final[Mapping[str, str]] = {
    "decimal_handling_mode: double": _RECORDED,
    "decimal_handling_mode: string": _RECORDED,
    "time_precision_mode: adaptive_time_microseconds": _RECORDED,
    "time_precision_mode: connect": _RECORDED,
    "time_precision_mode: isostring": _RECORDED,
    "time_precision_mode: microseconds": _RECORDED,
    "time_precision_mode: nanoseconds": _RECORDED,
    "binary_handling_mode: base64": _RECORDED,
    "binary_handling_mode: base64-url-safe": _RECORDED,
    "binary_handling_mode: hex": _RECORDED,
    "hstore_handling_mode: map": _FOREIGN,
    "interval_handling_mode: string": _FOREIGN,
    "money_fraction_digits": _FOREIGN,
    "unavailable_value_placeholder": "integration/test_mysql_partial_rows.py::test_everything_but_blobs",
    "unavailable_values: omit": _PARTIAL,
}
FORMATS: Final[Mapping[type[BaseModel], Mapping[str, str]]] = {
    MySqlSettings: SOURCE,
    MariaDbSettings: SOURCE,
    DebeziumFormat.Settings: {
        **_VALUES,
        "schemas": "unit/test_debezium_schemas.py::test_every_record_fits_its_schema",
    },
    FlatFormat.Settings: {
        **{name: _FLAT if shown is _RECORDED else shown for name, shown in _VALUES.items()},
        "deletes: rewrite": _DELETES,
        "deletes: rewrite_with_tombstone": _DELETES,
        "deletes: drop": _DELETES,
        "add_fields": _FIELDS,
        "add_fields_prefix": _FIELDS,
        "add_headers": "unit/test_flat_format.py::test_headers_are_added_to_tombstones_too",
        "add_headers_prefix": _SETTINGS,
    },
    PlainFormat.Settings: {},
}


def settings(model: type[BaseModel]) -> Iterator[str]:
    """Each setting, and each value of those that have a few."""
    for name, field in model.model_fields.items():
        values = [value for part in _parts(field.annotation) for value in get_args(part)]
        if not values:
            yield name
        yield from (f"{name}: {value}" for value in values if value != field.default)


def _parts(annotation: Any) -> Iterator[Any]:
    """The literals in an annotation."""
    if get_origin(annotation) is Literal:
        yield annotation
        return
    for part in get_args(annotation):
        if get_origin(part) is Literal:
            yield part


@pytest.mark.parametrize("model", FORMATS, ids=lambda model: model.__qualname__)
def test_each_setting_is_shown(model: type[BaseModel]) -> None:
    assert sorted(FORMATS[model]) == sorted(settings(model))


def test_what_shows_them_is_there() -> None:
    recorded = {
        f"{name}: {value}"
        for options in OPTIONS.values()
        for name, value in {**options.format, **options.source}.items()
    }
    for shown in FORMATS.values():
        for setting, where in shown.items():
            if where == _RECORDED:
                assert setting in recorded
            elif where != _FOREIGN:
                file, _, name = where.partition("::")
                text = (ROOT / "tests" / file).read_text()
                assert not name or name in _tests(text), where


def _tests(text: str) -> set[str]:
    nodes = ast.walk(ast.parse(text))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_each_type_of_the_page_is_compared_with_select() -> None:
    rows = PAGE.partition("| type |")[2].partition("\n\n")[0].splitlines()[2:]
    listed = {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert len(listed) > 40
    compared = {case.declared for case in CASES} | {
        re.sub(r"\(.*\)", "", case.declared).split(" ")[0] for case in CASES
    }
    assert listed - compared == set()
