"""Fetch the servers and start none: `python -m tests.servers`."""

from tests.servers import kafka, postgres

for major in postgres.VERSIONS:
    print(postgres.binaries(major))
print(kafka.jars())
print(kafka.prepared())
