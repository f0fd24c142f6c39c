"""Record what Debezium writes, on each version of PostgreSQL: `python -m tests.golden`.

Names of golden files as arguments record these alone.
"""

import sys

from tests.golden import debezium, recording
from tests.golden.corpus import fingerprint
from tests.golden.options import MAJOR, OPTIONS, properties
from tests.servers import PostgresServer
from tests.servers.postgres import VERSIONS

BASE = f"postgres{MAJOR}"
wanted = sys.argv[1:] or [
    *(f"postgres{major}" for major in VERSIONS),
    *(f"{BASE}-{name}" for name in OPTIONS),
]
for name in wanted:
    base, _, options = name.partition("-")
    major = int(base.removeprefix("postgres"))
    with PostgresServer(major) as server:
        made = debezium.record(server, properties(OPTIONS[options]) if options else {})
    made = {
        "debezium": debezium.VERSION,
        "postgres": VERSIONS[major],
        "corpus": fingerprint(major),
        **(recording.apart(made, recording.read(base)) if options else made),
    }
    recording.write(name, made)
    print(recording.path(name))
