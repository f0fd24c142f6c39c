"""Record what Debezium writes, on each version of PostgreSQL: `python -m tests.golden`."""

import sys

from tests.golden import debezium, recording
from tests.golden.corpus import fingerprint
from tests.servers import PostgresServer
from tests.servers.postgres import VERSIONS

for major in map(int, sys.argv[1:]) if sys.argv[1:] else VERSIONS:
    with PostgresServer(major) as server:
        made = {
            "debezium": debezium.VERSION,
            "postgres": VERSIONS[major],
            "corpus": fingerprint(major),
            **debezium.record(server),
        }
    recording.write(major, made)
    print(recording.path(major))
