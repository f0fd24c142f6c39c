"""Fetch the servers and start none for longer than it takes to prepare it: `python -m tests.servers`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from tests.servers import kafka, postgres
from tests.servers.mysql_releases import RELEASES


def _kafka() -> Path:
    kafka.jars()
    return kafka.prepared()


wanted: list[Callable[[], Path]] = [release.template for release in RELEASES.values()]
wanted += [partial(postgres.binaries, major) for major in postgres.VERSIONS]
wanted.append(_kafka)
with ThreadPoolExecutor(4) as at_once:
    for fetched in as_completed([at_once.submit(fetch) for fetch in wanted]):
        print(fetched.result(), flush=True)
