"""SIGKILL of a pipeline to which open transactions are streamed: nothing that was spooled counts."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from psycopg import Connection

from tests.crash import failpoints
from tests.crash.rig import Rig

_REACHED = 45.0  # seconds within which a failpoint must be passed


def test_a_pipeline_is_killed_while_transactions_are_open(make_rig: Callable[..., Rig], round: int) -> None:
    rig = make_rig(streaming=True, stdout=False)
    rig.recover()
    spool = rig.pipeline.folder / "data" / "streamed" / rig.name
    for name, nth in failpoints.STREAMED.items():
        rig.kills["the pipeline, at a failpoint"] += 1
        armed = f"{name}=kill@{nth + round % 2}"
        with open_transactions(rig) as end, rig.pipeline.start(failpoints=armed) as process:
            if name != "postgres.spool.written":
                end()
            code = process.wait(_REACHED)
        assert code == -signal.SIGKILL, f"{armed} was not reached: exit code {code}\n{process.stderr}"
        assert list(spool.iterdir())
    rig.recover()
    assert not spool.exists()
    assert all(count > 3000 for count in rig.verified.values()), rig.verified


@contextmanager
def open_transactions(rig: Rig) -> Iterator[Callable[[], None]]:
    """Three of more than a megabyte each, in pieces between each other's and small transactions; of the
    second a part is rolled back, of the third all. They end when that is called, or at the end of the block.
    """
    with ExitStack() as connections:
        clients = [connections.enter_context(rig.postgres.connect(rig.database)) for _ in range(3)]
        for client in clients:
            client.execute("BEGIN")
        for part in range(4):
            for number, client in enumerate(clients):
                if (number, part) == (1, 2):
                    client.execute("SAVEPOINT part")
                _insert(client, 3_000_000 + 100_000 * number + 10_000 * part, 200)
            with rig.postgres.connect(rig.database) as other:
                _insert(other, 4_000_000 + part, 1)

        def end() -> None:
            while clients:
                client = clients.pop(0)
                if len(clients) == 1:
                    client.execute("ROLLBACK TO part")
                client.execute("COMMIT" if clients else "ROLLBACK")

        yield end
        end()
        rig.postgres.execute("DELETE FROM ledger WHERE account >= 3000000", database=rig.database)


def _insert(client: Connection[Any], first: int, count: int) -> None:
    client.execute(
        "INSERT INTO ledger SELECT n, n / 8.0, repeat('row', 600) "
        f"FROM generate_series({first}, {first + count - 1}) n"
    )
