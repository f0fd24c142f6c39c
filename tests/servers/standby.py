"""A physical standby of a PostgreSQL server, made with a low-level base backup."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from tests.servers.postgres import PostgresServer
from tests.waiting import wait_until

#: What is not part of a base backup: of the folders only what is in them.
_FOLDERS = {"pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp"}
_FILES = {"postmaster.pid", "postmaster.opts"}


class Standby(PostgresServer):
    """Follows a running server through the physical slot of its name, and copies its failover slots."""

    def __init__(
        self, primary: PostgresServer, name: str = "standby", settings: Mapping[str, str | int] | None = None
    ) -> None:
        self._primary = primary
        self.slot = name
        super().__init__(
            primary.major,
            {
                **primary.settings,
                "primary_conninfo": f"host={primary.host} port={primary.port} user=postgres dbname=postgres",
                "primary_slot_name": name,
                "hot_standby_feedback": "on",
                "sync_replication_slots": "on",
                "wal_receiver_status_interval": 1,
                "wal_retrieve_retry_interval": "200ms",
                **(settings or {}),
            },
        )

    def promote(self) -> None:
        """Make it a primary, and return when it is one."""
        self.execute("SELECT pg_promote(true, 60)")
        wait_until(lambda: self.execute("SELECT pg_is_in_recovery()") == [(False,)], "the promotion")

    def has_received(self, lsn: str) -> bool:
        """Whether it has the primary's log up to there."""
        [(enough,)] = self.execute("SELECT pg_last_wal_receive_lsn() >= %s::pg_lsn", (lsn,))
        return bool(enough)

    def _initialise(self) -> None:
        with self._primary.connect() as connection:
            connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", (self.slot,))
            connection.execute("SELECT pg_backup_start('standby', true)")
            shutil.copytree(self._primary.data, self.data, ignore=self._ignored)
            [(label,)] = connection.execute("SELECT labelfile FROM pg_backup_stop(false)")
        (self.data / "backup_label").write_text(label)
        (self.data / "standby.signal").touch()
        (self.data / "pg_wal" / "archive_status").mkdir()
        owner = self._primary.data.stat()
        for path in (self.data, *self.data.rglob("*")):
            shutil.chown(path, owner.st_uid, owner.st_gid)

    def _ignored(self, folder: str, names: list[str]) -> set[str]:
        if folder == str(self._primary.data):
            return _FILES & set(names)
        at_the_top = folder.removeprefix(f"{self._primary.data}/")
        return set(names) if at_the_top in _FOLDERS else set()


def url(*servers: PostgresServer, database: str = "postgres") -> str:
    """A URL that leads to whichever of the servers is the primary."""
    hosts = ",".join(f"{server.host}:{server.port}" for server in servers)
    return f"postgresql://postgres@{hosts}/{database}?target_session_attrs=primary"
