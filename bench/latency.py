"""Latency: from the return of a transaction's commit to its record, readable by a read_committed consumer."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.pipelines import pipeline
from bench.workload import TABLE
from tests.servers import Kafka, Postgres


@dataclass(frozen=True)
class Latency:
    """What a steady flow of small transactions sees."""

    rate: int  # transactions a second
    count: int
    median_ms: float
    p99_ms: float


class _Row(msgspec.Struct):
    id: int


class _Payload(msgspec.Struct):
    after: _Row


def measure_latency(postgres: Postgres, kafka: Kafka, rate: int = 200, seconds: int = 15) -> Latency:
    """Commit `rate` single-row transactions a second for some seconds, and wait for each of their records."""
    database = postgres.create_database("latency")
    postgres.execute(TABLE, database=database)
    try:
        waits = asyncio.run(_measure(postgres.url(database), kafka, rate, rate * seconds))
    finally:
        postgres.drop_database(database)
    settled = sorted(waits[rate:])  # the first second warms up
    p99 = settled[int(len(settled) * 0.99)]
    return Latency(rate, len(settled), statistics.median(settled) * 1000, p99 * 1000)


async def _measure(url: str, kafka: Kafka, rate: int, count: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        source = {"type": "postgres", "url": url, "tables": "[public.t]"}
        file = pipeline(Path(folder), "latency", source, kafka, "zstd")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tailrace", "run", file, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(count / rate + 60):
                return await _observe(url, kafka, rate, count)
        finally:
            process.terminate()
            await process.wait()


async def _observe(url: str, kafka: Kafka, rate: int, count: int) -> list[float]:
    committed: dict[int, float] = {}
    readable: dict[int, float] = {}
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:

        async def insert(number: int) -> None:
            await connection.execute("insert into t (id, v) values (%s, 'x')", (number,))
            committed[number] = time.perf_counter()

        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka.bootstrap_servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
        )
        await consumer.start()
        try:
            number = 0
            while not (await consumer._client.fetch_all_metadata()).partitions_for_topic("latency.t"):
                number -= 1  # rows with negative ids only make the topic
                await insert(number)
                await asyncio.sleep(0.2)
            consumer.assign([TopicPartition("latency.t", n) for n in range(4)])
            reading = asyncio.create_task(_read(consumer, readable, count))
            began = time.perf_counter()
            for number in range(1, count + 1):
                await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
                await insert(number)
            await asyncio.wait_for(reading, 30)
        finally:
            await consumer.stop()
    return [readable[number] - committed[number] for number in range(1, count + 1)]


async def _read(consumer: AIOKafkaConsumer, readable: dict[int, float], count: int) -> None:
    decoder = msgspec.json.Decoder(_Payload)
    while len(readable) < count:
        record = await consumer.getone()
        number = decoder.decode(record.value).after.id
        if number > 0:
            readable[number] = time.perf_counter()
