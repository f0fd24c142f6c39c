"""What a person may have meant by a word that nothing knows where it stands."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

from tailrace import plugins
from tailrace.abc import Declaration
from tailrace.errors import ConfigurationError

OF_DEBEZIUM: Final = "Of Debezium's settings docs/from-debezium.md says what takes their place. "

_LONG: Final = 200  # characters
_SENTENCE_ENDS: Final = re.compile(r"(?<=[.]) (?=[A-Z`])")

_DEBEZIUM: Final = {
    "connector.class": "type",
    "database.hostname": "url",
    "database.port": "url",
    "database.user": "url",
    "database.dbname": "url",
    "database.password": "password",
    "database.server.id": "server_id",
    "database.sslmode": "url",
    "database.ssl.mode": "ssl_mode",
    "database.ssl.truststore": "ssl_ca",
    "database.ssl.keystore": "ssl_cert",
    "database.include.list": "tables",
    "schema.include.list": "tables",
    "table.include.list": "tables",
    "database.exclude.list": "exclude",
    "schema.exclude.list": "exclude",
    "table.exclude.list": "exclude",
    "column.include.list": "columns",
    "slot.name": "slot",
    "slot.drop.on.stop": "slot",
    "publication.name": "publication",
    "publication.autocreate.mode": "publication",
    "snapshot.mode": "snapshot",
    "status.update.interval.ms": "status_interval",
    "connect.keep.alive.interval.ms": "silence_timeout",
    "topic.prefix": "name",
    "database.server.name": "name",
    "topic.transaction": "transaction_topic",
}
"""Settings of Debezium's connectors, and the key that has what they say."""

_OF_URLS: Final = ("host", "hosts", "hostname", "port", "user", "username", "dbname", "database")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`Did you mean …? ` if one of the known words is close, else nothing. A dot stands for an underscore, or
    for a key inside of a block: `heartbeat.interval.ms`."""
    words = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(word.casefold().replace(".", "_"), words, n=1)
    if (block := word.partition(".")[0]) in words:
        near = [block]
    return f"Did you mean {words[near[0]]}? " if near else ""


def named_otherwise(key: str, declaration: type[Declaration], *, of_format: bool) -> str | None:
    """What says here, or in the format of a sink (`of_format`), what a key of another name or place says."""
    name = _DEBEZIUM.get(key.replace("_", ".")) or ("url" if key in _OF_URLS else "")
    if (field := declaration.model_fields.get(name)) is not None:
        return f"Here that is {name}: {first_sentence(field.description or '')}"
    if name and "source" in declaration.model_fields:
        return f"That is {name}, in the block source."
    if of_format and key in ("tables", "exclude") and key not in declaration.model_fields:
        return (
            "The source's block says which tables are captured. For one sink alone: transforms: [{type: "
            f"tables, {'include' if key == 'tables' else key}: […]}}] in its block."
        )
    ours = key.replace(".", "_")
    if of_format and (format := _format_with(ours)) is not None:
        return f"It belongs to a sink's format: format: {{type: {format}, {ours}: …}}."
    return None


def brief(text: str) -> str:
    """A description, or what it begins with where it is long."""
    return text if len(text) <= _LONG else first_sentence(text)


def first_sentence(text: str) -> str:
    """What a description begins with."""
    return _SENTENCE_ENDS.split(text)[0]


def _format_with(key: str) -> str | None:
    """The first format, by its name, that knows a key."""
    for name in plugins.names("formats"):
        try:
            settings = plugins.load("formats", name).Settings
        except ConfigurationError:  # broken, which is another fault
            continue
        if key in settings.model_fields:
            return name
    return None
