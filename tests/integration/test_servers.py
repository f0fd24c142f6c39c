"""The servers do what the other tests lean on."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from tests.servers import Kafka, KafkaServer, Postgres, PostgresServer, ServerError
from tests.waiting import wait_until


def test_both_output_plugins_decode(postgres: Postgres, postgres_database: str) -> None:
    def sql(statement: str) -> list[tuple[object, ...]]:
        return postgres.execute(statement, database=postgres_database)

    sql("CREATE TABLE item (id int PRIMARY KEY, name text); CREATE PUBLICATION items FOR TABLE item")
    for plugin in ("pgoutput", "test_decoding"):
        sql(f"SELECT pg_create_logical_replication_slot('{postgres_database}_{plugin}', '{plugin}')")
    sql("INSERT INTO item VALUES (1, 'ünï')")
    text = sql(
        f"SELECT data FROM pg_logical_slot_get_changes('{postgres_database}_test_decoding', NULL, NULL)"
    )
    assert ("table public.item: INSERT: id[integer]:1 name[text]:'ünï'",) in text
    messages = sql(
        f"SELECT get_byte(data, 0) FROM pg_logical_slot_get_binary_changes("
        f"'{postgres_database}_pgoutput', NULL, NULL, 'proto_version', '1', 'publication_names', 'items')"
    )
    assert "".join(chr(code) for (code,) in messages if isinstance(code, int)) == "BRIC"


def test_replication_connection(postgres: Postgres, postgres_database: str) -> None:
    with postgres.connect(postgres_database, replication="database") as connection:
        (system,) = connection.execute("IDENTIFY_SYSTEM").fetchall()
    assert system[3] == postgres_database


def test_only_the_superuser_enters_without_a_password(postgres: Postgres, postgres_database: str) -> None:
    role = f"role_{postgres_database}"
    postgres.execute(f"CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'right'")
    try:
        for options in ("", "?replication=database"):
            psycopg.connect(postgres.url(postgres_database, role, "right") + options).close()
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(postgres.url(postgres_database, role, "wrong") + options)
    finally:
        postgres.execute(f"DROP ROLE {role}")


def test_database_is_dropped_from_under_its_users(postgres: Postgres) -> None:
    name = postgres.create_database()
    postgres.execute(f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')", database=name)
    with postgres.connect(name, replication="database") as reader:
        reader.execute("SELECT 1")
        postgres.drop_database(name)
        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")
    assert not postgres.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (name,))


@pytest.mark.parametrize("major", [16, 18])
def test_postgres_keeps_what_was_committed_when_it_is_killed(
    make_postgres: Callable[..., PostgresServer], major: int
) -> None:
    server = make_postgres(major)
    server.execute("CREATE TABLE t (i int)")
    server.execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
    busy = server.connect()
    cut_off: list[bool] = []

    def sleep() -> None:
        with pytest.raises(psycopg.OperationalError):
            busy.execute("SELECT pg_sleep(60)")
        cut_off.append(True)

    long = threading.Thread(target=sleep)
    long.start()
    server.execute("INSERT INTO t VALUES (1)")
    server.kill()
    long.join()
    assert cut_off
    assert not server.process.running
    with pytest.raises(psycopg.OperationalError):
        server.connect()
    server.start()
    assert server.execute("SELECT i, slot_name FROM t, pg_replication_slots") == [(1, "s")]
    server.stop("immediate")
    server.start()
    server.restart()
    assert server.execute("SELECT i FROM t") == [(1,)]


def test_postgres_settings_are_read_at_every_start(make_postgres: Callable[..., PostgresServer]) -> None:
    server = make_postgres(16, {"wal_level": "replica"})
    assert server.execute("SHOW wal_level") == [("replica",)]
    server.settings["wal_level"] = "logical"
    server.restart()
    assert server.execute("SHOW wal_level") == [("logical",)]


def test_two_servers_are_two_systems(make_postgres: Callable[..., PostgresServer]) -> None:
    systems = {make_postgres().execute("SELECT system_identifier FROM pg_control_system()")[0] for _ in "ab"}
    assert len(systems) == 2


def test_a_server_that_cannot_start_says_why(make_postgres: Callable[..., PostgresServer]) -> None:
    with pytest.raises(ServerError, match="no_such_library"):
        make_postgres(16, {"shared_preload_libraries": "no_such_library"})


def test_a_server_ends_with_the_process_that_started_it(postgres16: Postgres) -> None:
    # postgres16 is asked for only because this needs PostgreSQL's binaries too.
    program = """
import os, signal
from tests.servers import PostgresServer
server = PostgresServer(16)
server.start()
print(server.process.pid, server.process.directory, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    run = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False)
    assert run.returncode == -signal.SIGKILL
    pid, directory = run.stdout.split()
    wait_until(lambda: not psutil.pid_exists(int(pid)), "the orphaned server to end")
    wait_until(lambda: not Path(directory).exists(), "its data to be deleted")


async def _create_topic(kafka: Kafka, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def _committed(kafka: Kafka, topic: str, count: int) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def test_kafka_shows_only_what_was_committed(kafka: Kafka, topic_prefix: str) -> None:
    topic = f"{topic_prefix}t"
    await _create_topic(kafka, topic)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=topic_prefix)
    await producer.start()
    try:
        for value, fate in ((b"1", "commit"), (b"2", "abort"), (b"3", "commit")):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, value)
            await (producer.commit_transaction() if fate == "commit" else producer.abort_transaction())
    finally:
        await producer.stop()
    assert await _committed(kafka, topic, 2) == [b"1", b"3"]


async def test_kafka_keeps_what_was_acknowledged_when_it_is_killed(
    make_kafka: Callable[..., KafkaServer],
) -> None:
    server = make_kafka()
    await _create_topic(server, "t")
    for value, end in ((b"1", server.kill), (b"2", server.stop)):
        producer = AIOKafkaProducer(bootstrap_servers=server.bootstrap_servers, transactional_id="t")
        await producer.start()
        async with producer.transaction():
            await producer.send("t", value)
        await producer.stop()
        end()
        assert not server.process.running
        server.start()
    assert await _committed(server, "t", 2) == [b"1", b"2"]
