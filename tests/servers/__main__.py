"""Fetch the servers and leave none running: `python -m tests.servers`."""

from concurrent.futures import ThreadPoolExecutor

from tests.servers import kafka, postgres
from tests.servers.mysql_releases import RELEASES, Release


def _through_maven() -> None:
    """One after the other: Maven's runs share a folder."""
    for major in postgres.VERSIONS:
        print(postgres.binaries(major), flush=True)
        print(postgres.template(major), flush=True)
    print(kafka.jars(), flush=True)
    print(kafka.prepared(), flush=True)


def _out_of_debian(release: Release) -> None:
    print(release.binaries(), flush=True)
    print(release.template(), flush=True)
    release.log_printer()


with ThreadPoolExecutor() as at_once:
    running = [at_once.submit(_through_maven)]
    running += [at_once.submit(_out_of_debian, release) for release in RELEASES.values()]
for fetched in running:
    fetched.result()
