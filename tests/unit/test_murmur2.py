"""murmur2 against aiokafka's own, and against values that Kafka's Java client is tested with."""

import pytest
from aiokafka.partitioner import DefaultPartitioner, murmur2
from hypothesis import given
from hypothesis import strategies as st

from sinks.kafka.murmur2 import positive_hash, positive_hashes


def expected(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF


# Signed 32-bit results, from the tests of org.apache.kafka.common.utils.Utils.
@pytest.mark.parametrize(
    ("key", "murmur"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_agrees_with_the_java_client(key: bytes, murmur: int) -> None:
    assert positive_hash(key) == murmur & 0x7FFFFFFF
    assert positive_hashes([key] * 9) == [murmur & 0x7FFFFFFF] * 9


@given(st.lists(st.binary(max_size=150), max_size=40))
def test_agrees_with_aiokafka_on_any_keys(keys: list[bytes]) -> None:
    assert positive_hashes(keys) == [expected(key) for key in keys]
    assert [positive_hash(key) for key in keys] == [expected(key) for key in keys]


@given(st.binary(max_size=120), st.integers(0, 40), st.integers(1, 700), st.randoms(use_true_random=False))
def test_agrees_on_keys_that_begin_alike(prefix: bytes, varying: int, count: int, random) -> None:  # type: ignore[no-untyped-def]  # hypothesis hands out a subclass of random.Random
    keys = [prefix + random.randbytes(varying) for _ in range(count)]
    assert positive_hashes(keys) == [expected(key) for key in keys]


def test_chooses_the_partition_that_aiokafka_chooses() -> None:
    keys = [b'{"id":%d}' % id for id in range(5000)]
    partitions = list(range(7))
    choose = DefaultPartitioner()
    assert [value % 7 for value in positive_hashes(keys)] == [
        choose(key, partitions, partitions) for key in keys
    ]
