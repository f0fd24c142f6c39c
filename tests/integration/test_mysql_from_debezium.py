"""docs/from-debezium.md: a pipeline on MySQL or MariaDB begins where a connector stood."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from tests.integration.commandline import tailrace
from tests.integration.test_bad_input_mysql import MySqlPipeline
from tests.servers import MySql

PAGE = (Path(__file__).parents[2] / "docs" / "from-debezium.md").read_text()
SECTION = PAGE.partition("\n## Going on from a connector of MySQL or MariaDB\n")[2].partition("\n## ")[0]


def test_a_first_start_behind_a_stored_offset(
    every_mysql: MySql, make_database: Callable[[MySql], str], tmp_path: Path
) -> None:
    """What the connector's set holds does not come, all that follows does."""
    (offset,) = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", SECTION, re.S))
    set_, _ = (shlex.split(line)[2:] for line in SECTION.splitlines() if line.startswith("$ tailrace "))
    assert set_[-1] == offset["gtids"]
    pipeline = MySqlPipeline(tmp_path, every_mysql, make_database(every_mysql))
    pipeline.insert(1, 2)
    stored = every_mysql.gtids()
    pipeline.insert(3, 4)
    pipeline.write()
    said = tailrace(*set_[:2], pipeline.file, *set_[3:-1], stored)
    assert said.code == 0, said.err
    pipeline.deliver()
    pipeline.insert(5)
    pipeline.deliver()
    assert pipeline.ids() == [3, 4, 5]
