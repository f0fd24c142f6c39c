"""Topic names: filled in, made fit for Kafka, never shared by accident."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from tailrace.errors import Stop
from tailrace.events import Table
from tailrace.testing.events import ORIGIN, table
from tailrace.topics import SHARED, TopicTemplate


def named(schema: str, name: str) -> Table:
    return replace(table(name), schema=schema)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{pipeline}.{schema}.{table}", "acceptance.public.orders"),
        ("{database}-{table}", "shop-orders"),
        ("all", "all"),
    ],
)
def test_fields_are_filled_in(template: str, name: str) -> None:
    assert TopicTemplate(template).topic(named("public", "orders")) == name


def test_an_empty_field_takes_its_dot_along() -> None:
    assert TopicTemplate("{pipeline}.{schema}.{table}").topic(named("", "orders")) == "acceptance.orders"


def test_what_kafka_refuses_becomes_an_underscore() -> None:
    assert TopicTemplate("{table}").topic(named("public", "Größe (cm)")) == "Gr__e__cm_"


@pytest.mark.parametrize(
    ("template", "one", "other", "topic"),
    [
        ("{pipeline}.{schema}.{table}", ("public", "顧客"), ("public", "注文"), "acceptance.public.__"),
        ("{table}", ("public", "a b"), ("public", "a_b"), "a_b"),
        ("{table}", ("public", "a_b"), ("public", "a b"), "a_b"),
        ("{schema}", ("a b", "t"), ("a_b", "t"), "a_b"),
        ("{schema}.{table}", ("a.b", "c"), ("a", "b.c"), "a.b.c"),
    ],
)
def test_two_tables_that_the_template_tells_apart_share_no_topic(
    template: str, one: tuple[str, str], other: tuple[str, str], topic: str
) -> None:
    topics = TopicTemplate(template)
    assert topics.topic(named(*one)) == topic
    for _ in range(2):
        with pytest.raises(Stop) as refused:
            topics.topic(named(*other))
        assert refused.value.code is SHARED
        assert f"{'.'.join(one)} and {'.'.join(other)}" in refused.value.found
        assert refused.value.where == f"topic {topic}"
    assert topics.topic(named(*one)) == topic


@pytest.mark.parametrize(
    ("template", "tables"),
    [
        ("all", [("public", "顧客"), ("public", "注文"), ("other", "x")]),
        ("{pipeline}", [("public", "a b"), ("public", "a_b")]),
        ("{schema}", [("my schema", "a b"), ("my schema", "a_b"), ("my schema", "c")]),
        ("{table}", [("shop_1", "order items"), ("shop_2", "order items")]),
    ],
)
def test_what_the_template_leaves_out_may_differ(template: str, tables: list[tuple[str, str]]) -> None:
    topics = TopicTemplate(template)
    assert len({topics.topic(named(*one)) for one in tables}) == 1


def test_versions_of_a_table_share_its_topic_and_are_not_kept() -> None:
    topics = TopicTemplate("{table}")
    first, second = table("a b"), replace(table("a b"), key=(), origin=replace(ORIGIN))
    references = sys.getrefcount(first), sys.getrefcount(second)
    assert topics.topic(first) == topics.topic(second) == "a_b"
    assert (sys.getrefcount(first), sys.getrefcount(second)) == references
