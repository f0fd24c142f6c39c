"""The spool of open transactions, against a model that keeps everything in memory."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.postgres import spool
from connectors.postgres.spool import Spool, Spooled
from tailrace.errors import Retry, Stop
from tests.unit.pgoutput import xlog_data


def piece(xid: int, content: bytes) -> bytes:
    """A message within a piece."""
    return xlog_data(b"I" + xid.to_bytes(4, "big") + content)


def whole(content: bytes) -> bytes:
    """The same message without streaming."""
    return xlog_data(b"I" + content)


def held(spooled: Spooled) -> list[bytes]:
    return [message for part in spooled.messages() for message in part]


Step = tuple[str, int, int, Sequence[bytes]]
_XIDS = st.integers(2**32 - 3, 2**32 - 1) | st.integers(3, 6)
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(("append", "append", "roll back", "remove")),
        st.integers(1, 3),
        _XIDS,
        st.lists(st.binary(max_size=40), max_size=4),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps=_STEPS, read=st.sampled_from((1, 40, 256 * 1024)))
def test_like_a_model(tmp_path_factory: pytest.TempPathFactory, steps: list[Step], read: int) -> None:
    """Any interleaving of transactions and subtransactions, read in pieces of any size."""
    folder = tmp_path_factory.mktemp("spool") / "streamed"
    kept, model = Spool(folder), dict[int, list[tuple[int, bytes]]]()
    files: dict[int, Spooled] = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(spool, "_READ_BYTES", read)
        for what, top, xid, contents in steps:
            spooled = files.setdefault(top, kept.transaction(top))
            messages = model.setdefault(top, [])
            if what == "append" and contents:
                if any(one == (xid, b"") for one in messages):
                    continue  # it was rolled back: nothing comes of it any more
                spooled.append([piece(xid, content) for content in contents])
                messages += [(xid, whole(content)) for content in contents]
            elif what == "roll back":
                spooled.roll_back(xid)
                model[top] = [one for one in messages if one[0] != xid] + [(xid, b"")]
            elif what == "remove":
                files.pop(top).remove()
                model.pop(top)
        for top, spooled in files.items():
            assert held(spooled) == [content for _, content in model[top] if content]
    kept.clear()
    assert not folder.exists()


def test_a_message_larger_than_what_is_read_at_once(tmp_path: Path) -> None:
    spooled = Spool(tmp_path / "s").transaction(7)
    contents = [b"a", bytes(3_000_000), b"b" * 300_000, b"c"]
    spooled.append([piece(7, content) for content in contents])
    assert held(spooled) == [whole(content) for content in contents]


def test_what_is_read_at_once_is_bounded(tmp_path: Path) -> None:
    spooled = Spool(tmp_path / "s").transaction(7)
    for _ in range(50):
        spooled.append([piece(7, bytes(1000))] * 100)
    assert max(sum(map(len, part)) for part in spooled.messages()) < 300_000


def test_an_earlier_run_is_cleared_away(tmp_path: Path) -> None:
    earlier = Spool(tmp_path / "s")
    earlier.transaction(7).append([piece(7, b"old")])
    Spool(tmp_path / "s").clear()
    spooled = Spool(tmp_path / "s").transaction(7)
    spooled.append([piece(7, b"new")])
    assert held(spooled) == [whole(b"new")]


def test_rows_are_not_for_everybody(tmp_path: Path) -> None:
    made = Spool(tmp_path / "data" / "streamed" / "shop")
    made.transaction(7).append([piece(7, b"")])
    assert made.folder.stat().st_mode & 0o077 == 0


def test_a_file_that_somebody_has_cut_or_removed(tmp_path: Path) -> None:
    """Nothing of it may be taken for the whole."""
    made = Spool(tmp_path)
    spooled = made.transaction(7)
    spooled.append([piece(7, b"one"), piece(7, b"two")])
    file = tmp_path / "7"
    content = file.read_bytes()
    for length in (0, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(Retry, match="bytes that were written") as raised:
            held(spooled)
        assert raised.value.code is spool.NOT_NOW
    file.unlink()
    with pytest.raises(Retry, match="No such file"):
        held(spooled)


def test_a_file_that_somebody_has_removed_between_two_pieces(tmp_path: Path) -> None:
    """What came later is not the transaction's beginning: nothing of it may be handed out, to be counted from
    there."""
    spooled = Spool(tmp_path).transaction(7)
    spooled.append([piece(7, b"one")])
    (tmp_path / "7").unlink()
    spooled.append([piece(7, b"two")])
    with pytest.raises(Retry, match="bytes that were written"):
        next(spooled.messages())


def test_no_room(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    spooled = Spool(tmp_path).transaction(7)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(Retry, match="bytes free there") as raised:
            spooled.append([piece(7, bytes(1000))] * 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert raised.value.code is spool.NOT_NOW
    assert raised.value.where == str(tmp_path / "7")
    assert "streaming" in raised.value.remedy


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    made = Spool(tmp_path / "data" / "streamed")
    with pytest.raises(Stop) as raised:
        made.transaction(7).append([piece(7, b"")])
    assert raised.value.code is spool.NOT_WRITABLE
    made.clear()  # nothing there: nothing to say
