"""Record what Debezium writes: `python -m tests.golden`.

Names of golden files as arguments record these alone.
"""

import sys

from tests.golden import debezium, recording, transactions
from tests.golden.binlog import files as binlog
from tests.golden.binlog import transactions as binlog_transactions
from tests.golden.files import FILES
from tests.golden.options import properties

for name in sys.argv[1:] or (*FILES, transactions.NAME, *binlog.FILES, *binlog_transactions.RELEASES):
    if name == transactions.NAME:
        print(transactions.record())
        continue
    if name in binlog_transactions.RELEASES:
        print(binlog_transactions.record(name))
        continue
    if name in binlog.FILES:
        print(binlog.FILES[name].record(name))
        continue
    golden = FILES[name]
    with golden.server(golden.major) as server:
        made = debezium.record(server, golden.corpus, properties(golden.options))
        ((version,),) = server.execute("SHOW server_version")
    if golden.base:
        made = recording.apart(made, recording.read(golden.base))
    made = {
        "debezium": debezium.VERSION,
        "postgres": version,
        "corpus": golden.corpus.fingerprint(golden.major),
        **made,
    }
    recording.write(name, made)
    print(recording.path(name))
