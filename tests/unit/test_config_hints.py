"""What `validate` says where a person has written what belongs elsewhere, or is another program's."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tailrace.config import loads
from tailrace.errors import ConfigurationError

_URLS = {
    "mysql": "mysql://app@127.0.0.1:3306/",
    "mariadb": "mariadb://app@127.0.0.1:3306/",
    "postgres": "postgresql://app@127.0.0.1/shop",
}


def faults(
    kind: str, source: Sequence[str] = (), sink: Sequence[str] = (), **replaced: str
) -> dict[str, tuple[str, str]]:
    """What is told of a file with more lines in its source and in its sink: found → code, remedy."""
    keys = {"url": _URLS[kind], "tables": '["shop.*"]', "snapshot": "never", **replaced}
    lines = [
        "name: shop",
        "source:",
        f"  type: {kind}",
        *[f"  {key}: {value}" for key, value in keys.items()],
    ]
    lines += [f"  {line}" for line in source]
    lines += ["sinks:", "  - type: log", "    path: data/shop.db", *[f"    {line}" for line in sink]]
    try:
        loads("\n".join(lines), "shop.yaml", {})
    except ConfigurationError as error:
        return {fault.found: (fault.code.id, fault.remedy) for fault in error.faults}
    return {}


@pytest.mark.parametrize("kind", ["mysql", "mariadb", "postgres"])
def test_what_is_not_there_hides_no_other_fault(kind: str) -> None:
    found = faults(kind, ["include_schema_changes: true", "silence: 1", "keyless: maybe"], tables="[orders]")
    code, remedy = found.pop("include_schema_changes is not available in this version")
    assert (code, remedy.partition(". ")[0]) == ("TR-CONF-009", "Take it out")
    assert found.pop("silence")[0] == "TR-CONF-006"
    assert {name.partition(" ")[0] for name in found} == {"keyless", "tables:"}


def test_what_is_not_there_under_debeziums_name() -> None:
    found = faults("mysql", ["include.schema.changes: true"])
    assert found["include.schema.changes is not available in this version"][0] == "TR-CONF-009"


def test_what_is_missing_is_told_in_a_sentence() -> None:
    """Or whole where it is short, as where it says what to write."""
    try:
        loads("name: shop\nsource: {type: mysql}\nsinks: [{type: log, path: a.db}]", "shop.yaml", {})
    except ConfigurationError as error:
        told = {fault.found: fault.remedy for fault in error.faults}
    assert told["url"] == "Where the server is: mysql://user@host:3306/."
    assert "`never`: nothing" in told["snapshot"]
    assert all(len(remedy) < 250 for remedy in told.values())


@pytest.mark.parametrize("key", ["two_phase", "proto_version"])
def test_what_is_not_there_of_postgres(key: str) -> None:
    code, remedy = faults("postgres", [f"{key}: 1"])[f"{key} is not available in this version"]
    assert code == "TR-CONF-009"
    assert remedy.endswith("after its COMMIT PREPARED.")


@pytest.mark.parametrize(
    ("kind", "key", "told"),
    [
        ("mysql", "database.hostname", "Here that is url: Where the server is: mysql://user@host:3306/."),
        ("mariadb", "database.port", "Here that is url: "),
        ("postgres", "database.dbname", "Here that is url: Where the database is: "),
        ("mysql", "database.password", "Here that is password: "),
        ("mysql", "database.server.id", "Here that is server_id: "),
        ("mysql", "database.ssl.mode", "Here that is ssl_mode: "),
        ("mysql", "database.include.list", "Here that is tables: "),
        ("mysql", "table.exclude.list", "Here that is exclude: "),
        ("mysql", "snapshot.mode", "Here that is snapshot: "),
        ("postgres", "slot.name", "Here that is slot: The replication slot, "),
        ("postgres", "heartbeat.interval.ms", "Did you mean heartbeat? "),
        ("mysql", "bigint.unsigned.handling.mode", "Did you mean bigint_unsigned_handling_mode? "),
        ("mysql", "gtid.source.includes", "Of Debezium's settings docs/from-debezium.md says"),
        ("mysql", "table_include_list", "Here that is tables: "),
        ("mysql", "hostname", "Here that is url: "),
        ("postgres", "database", "Here that is url: "),
        ("mysql", "colour", "Known here: "),
    ],
)
def test_a_setting_of_debezium(kind: str, key: str, told: str) -> None:
    code, remedy = faults(kind, [f"{key}: 1"])[key]
    assert code == "TR-CONF-006"
    assert remedy.startswith(told)
    assert ("Known here: " in remedy) != told.startswith("Here that is")


def test_debeziums_settings_beside_the_blocks() -> None:
    lines = ["database.hostname: db", "table.include.list: a.b", "schema.history.internal.x: y"]
    with pytest.raises(ConfigurationError) as caught:
        loads("\n".join(["name: shop", *lines]), "shop.yaml", {})
    told = {fault.found: fault.remedy for fault in caught.value.faults}
    assert told["database.hostname"] == "That is url, in the block source."
    assert told["table.include.list"] == "That is tables, in the block source."
    assert told["schema.history.internal.x"].startswith("Of Debezium's settings ")


def test_an_empty_list_is_called_so() -> None:
    assert faults("mysql", tables="[]")["tables is empty"][1] == "It must have at least 1 item."


@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_tables_are_told_in_the_words_of_the_server(kind: str) -> None:
    (told,) = faults(kind, tables="[orders]").values()
    assert "`database.table`" in told[1]
    assert "public" not in told[1]


def test_backquotes_are_sqls() -> None:
    """As a part of the names they would match nothing, and a pipeline would deliver nothing."""
    (found,) = faults("mysql", tables="['`shop`.*']")
    assert found.endswith("; it is no SQL: names stand without backquotes")
    assert not faults("mysql", tables="""['"`odd`".orders']""")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("VERIFY_CA", ""),
        ("verify-identity", ""),
        ("verify-full", "Write ssl_mode: verify_identity."),
        ("Require", "Write ssl_mode: required."),
        ("always", "It must be 'disabled', "),
    ],
)
def test_modes_of_tls_as_others_write_them(written: str, told: str) -> None:
    found = faults("mysql", [f"ssl_mode: {written}"])
    assert [remedy.startswith(told) for _, remedy in found.values()] == [True] * bool(told)


@pytest.mark.parametrize("where", ["source", "sink"])
@pytest.mark.parametrize(
    ("key", "block"),
    [
        ("decimal_handling_mode", "{type: debezium, decimal_handling_mode: …}"),
        ("time.precision.mode", "{type: debezium, time_precision_mode: …}"),
        ("schemas", "{type: debezium, schemas: …}"),
        ("add_fields", "{type: flat, add_fields: …}"),
    ],
)
def test_a_key_of_a_format(where: str, key: str, block: str) -> None:
    line = [f"{key}: string"]
    code, remedy = faults("mysql", **{where: line})[key]  # type: ignore[arg-type]  # one of the two lists
    assert code == "TR-CONF-006"
    assert remedy == f"It belongs to a sink's format: format: {block}."


@pytest.mark.parametrize(("key", "said"), [("tables", "include"), ("exclude", "exclude")])
def test_which_tables_go_to_one_sink(key: str, said: str) -> None:
    _, remedy = faults("mysql", sink=[f"{key}: [shop.orders]"])[key]
    assert f"transforms: [{{type: tables, {said}: […]}}] in its block." in remedy


def test_an_expression_in_double_quotes() -> None:
    [(_, (code, remedy))] = faults("mysql", tables=r'["shop\.orders"]').items()
    assert (code, "single quotes" in remedy) == ("TR-CONF-002", True)


def test_a_key_of_another_format() -> None:
    _, remedy = faults("mysql", sink=["format: {type: debezium, add_fields: [op]}"])["add_fields"]
    assert "It belongs" not in remedy


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        (r"shop\\.orders", "no regular expression"),
        (r"shop\\..*", "no regular expression"),
        (r"^shop.orders$", "no regular expression"),
        ("shop.(orders|items)", "no regular expression"),
        ("shop.orders|shop.items", "no regular expression"),
        ("shop.orders_[0-9]", "no regular expression"),
        ("shop.orders_.*", "no regular expression"),
        ("shop..*", "no regular expression"),
        ("shop.orders,shop.items", "several items of the list"),
        ("shop.odd.name", "double quotes"),
    ],
)
def test_a_regular_expression_where_a_pattern_belongs(pattern: str, told: str) -> None:
    [(found, (code, _))] = faults("mysql", tables=f'["{pattern}"]').items()
    assert code == "TR-CONF-008"
    assert told in found


@pytest.mark.parametrize(
    "pattern", [r"shop.\"a|b\"", r"\"^x\".\"a\\\\d\"", "shop.Sales (2020)", "shop.cost$"]
)
def test_a_name_that_looks_like_one_is_quoted(pattern: str) -> None:
    assert faults("mysql", tables=f'["{pattern}"]') == {}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://app@db/shop", "it begins with postgresql://"),
        ("mysql+pymysql://app@db/shop", "it begins with mysql+pymysql://"),
        ("jdbc:mysql://db:3306/shop?user=app", "leave jdbc: out"),
        ("db.example.org:3306", "it begins with something else"),
        ("mysql://app:hidden/part@db/", "an @ stands behind the host"),
        ("mysql://app:hid?den@db/", "an @ stands behind the host"),
        ("mysql://app:hid#den@db:3306/shop", "an @ stands behind the host"),
        ("mysql://app:h@hidden/den@db/", "an @ stands behind the host"),
        ("mysql://app:h[dden@db/", "as %XX"),
        ("mysql://app@db:330x/", "the port is a number up to 65535"),
        ("mysql://db:3306/shop", "the user is missing"),
        ("mysql://app@/shop", "a host is missing"),
        ("mysql://app@a:3306,/shop", "a host is missing"),
        ("mysql://app@db/shop/orders", "one database stands behind the host"),
        ("mysql://app@db/shop?useSSL=true", "TLS is said beside it"),
    ],
)
def test_a_url_that_is_none_of_mysql(url: str, told: str) -> None:
    """With what is wrong about it, and without what may be a password."""
    [(found, (code, remedy))] = faults("mysql", url=f"'{url}'").items()
    assert code == "TR-CONF-008"
    assert told in remedy
    assert "hid" not in f"{found}{remedy}"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://app@db/shop", "a PostgreSQL URL looks like"),
        ("jdbc:postgresql://db:5432/shop?user=app", "leave jdbc: out"),
        ("postgresql://app:hidden/part@db/shop", "an @ stands behind the host"),
        ("postgresql://app@db:hidden/shop", "the port is a number"),
    ],
)
def test_a_url_that_is_none_of_postgres(url: str, told: str) -> None:
    [(found, (code, remedy))] = faults("postgres", url=f"'{url}'").items()
    assert code == "TR-CONF-008"
    assert told.lower() in remedy.lower()
    assert "hid" not in f"{found}{remedy}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///shop?host=/var/run/postgresql&user=a@b",
        "postgresql://app@a:5432,b/shop",
        "postgresql://app:p%2Fs%40@db/shop?sslmode=require",
        "postgresql://app@%2Ftmp/shop",
        "postgresql://app:hid?den@db/shop",
    ],
)
def test_what_libpq_reads_is_taken(url: str) -> None:
    assert faults("postgres", url=f"'{url}'") == {}


def test_a_sign_that_needs_no_quoting_is_taken_in_a_password() -> None:
    assert faults("mysql", url="'mysql://app:a@b:c@db:3306/shop'") == {}
