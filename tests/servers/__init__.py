"""Real servers for the tests: PostgreSQL and Apache Kafka, fetched through Maven, MySQL and MariaDB, fetched
through Debian's apt; started here.

Most tests share one server a session and take what is theirs from the fixtures of `tests/conftest.py`:

    def test_copies(postgres: Postgres, postgres_database: str, kafka: Kafka, topic_prefix: str) -> None:
        postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
        url = postgres.url(postgres_database)             # on PostgreSQL 16, then again on 18

`postgres16` and `postgres18` are one version only. `mysql` is MySQL, `mariadb` MariaDB, one version after the
other, `every_mysql` all of them; what they share is the class `MySql`, what they do not its `flavor`.

A test that stops, kills or configures a server makes its own: `make_postgres(16, {"wal_level": "replica"})`,
`make_mysql("mariadb10", {"log_bin_compress": "ON"})` and `make_kafka()` return started servers with `stop`,
`kill`, `start`, `restart` on the same port and data, removed when the test ends.

The superusers `postgres` and `root` need no password; every other role of PostgreSQL needs one (scram).
Everything blocks: beside a running event loop use `await asyncio.to_thread(server.restart)`. With
`TAILRACE_TEST_POSTGRES_URL`, `TAILRACE_TEST_MYSQL_URL`, `TAILRACE_TEST_MARIADB_URL` (superusers') and
`TAILRACE_TEST_KAFKA_BOOTSTRAP` the shared fixtures use servers that run already, and tests with servers of
their own are skipped.
"""

from tests.servers.artefacts import UnavailableError
from tests.servers.kafka import Kafka, KafkaServer
from tests.servers.mysql import MySql, MySqlServer
from tests.servers.postgres import Postgres, PostgresServer
from tests.servers.process import ServerError

__all__ = [
    "Kafka",
    "KafkaServer",
    "MySql",
    "MySqlServer",
    "Postgres",
    "PostgresServer",
    "ServerError",
    "UnavailableError",
]
