"""A loop over the library mysql-replication that reads rows and does nothing with them: the process that
`bench.mysql` measures.

    python -m bench.mysql_replication HOST PORT USER FILE OFFSET

reads the log from that place on to its end and prints one JSON object: the rows, and seconds and CPU seconds
from before the connection to the end. The library is told to look at row events alone, to log nothing, and
that no table changes, which is as fast as it goes.
"""

from __future__ import annotations

import json
import resource
import sys
import time

from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

_SERVER_ID = 4_000_000_001  # nobody's


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _read(host: str, port: int, user: str, file: str, offset: int) -> dict[str, float]:
    began, cpu = time.perf_counter(), _cpu()
    reader = BinLogStreamReader(
        connection_settings={"host": host, "port": port, "user": user, "ssl_disabled": True},
        server_id=_SERVER_ID,
        log_file=file,
        log_pos=offset,
        resume_stream=True,
        only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent],
        freeze_schema=True,
        enable_logging=False,
    )
    rows = sum(len(event.rows) for event in reader)  # it ends where the log does
    reader.close()
    return {"rows": rows, "seconds": time.perf_counter() - began, "cpu": _cpu() - cpu}


if __name__ == "__main__":
    host, port, user, file, offset = sys.argv[1:]
    json.dump(_read(host, int(port), user, file, int(offset)), sys.stdout)
