"""What really happened in the database, and whether a target holds exactly that.

The witness is a slot of PostgreSQL's own `test_decoding` beside the pipeline's; a second one is what SELECT
returns. Nothing here uses tailrace's decoding or conversion: `decoding` reads test_decoding's text, `values`
turns PostgreSQL's text into the JSON that Debezium's mapping demands, `events` makes of both the events that
a target must hold, `comparison` tells what is lost, doubled, reordered or wrong, `fold` replays a target's
events into tables.
"""

from tests.truth.comparison import Comparison, Delivered, Differences
from tests.truth.events import Event
from tests.truth.fold import Fold
from tests.truth.witness import Witness

__all__ = ["Comparison", "Delivered", "Differences", "Event", "Fold", "Witness"]
