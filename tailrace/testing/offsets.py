"""The acceptance suite for offset stores.

A store's author subclasses `OffsetStoreAcceptance` and provides a fixture `harness`:

    class TestMyStore(OffsetStoreAcceptance):
        @pytest.fixture
        def harness(self, tmp_path: Path) -> MyHarness:
            return MyHarness(tmp_path)

A harness stands for one target, empty and of the test's own, and makes store objects on it, each as another
run of the pipeline would have it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from tailrace.abc import OffsetStore
from tailrace.checkpoint import Owner
from tailrace.errors import Fenced
from tailrace.testing.events import checkpoint


class OffsetStoreHarness(Protocol):
    """One target, empty at first."""

    def store(self) -> OffsetStore:
        """A new store object on the target: another run, or another process."""


class _Stores:
    """Makes stores and closes them at the end, also those that a test left as a crash would."""

    def __init__(self, harness: OffsetStoreHarness) -> None:
        self._harness = harness
        self._made: list[OffsetStore] = []

    def __call__(self) -> OffsetStore:
        self._made.append(self._harness.store())
        return self._made[-1]

    async def close(self) -> None:
        for store in self._made:
            await store.close()


class OffsetStoreAcceptance:
    """What every offset store must do."""

    @pytest.fixture
    def harness(self) -> OffsetStoreHarness:
        raise NotImplementedError("provide the fixture `harness`; the module's docstring says how")

    @pytest.fixture
    async def stores(self, harness: OffsetStoreHarness) -> AsyncIterator[_Stores]:
        stores = _Stores(harness)
        yield stores
        await stores.close()

    async def test_starts_empty(self, stores: _Stores) -> None:
        assert await stores().peek("orders/stdout") is None
        epoch, stored = await stores().claim("orders/stdout")
        assert stored is None
        assert epoch > 0
        assert await stores().peek("orders/stdout") is None

    async def test_keeps_what_was_saved(self, stores: _Stores) -> None:
        store = stores()
        epoch, _ = await store.claim("orders/stdout")
        for sequence in range(1, 6):
            await store.save("orders/stdout", epoch, checkpoint(sequence, {"lsn": f"0/{sequence}"}))
            assert await stores().peek("orders/stdout") == checkpoint(sequence, {"lsn": f"0/{sequence}"})
        await store.close()
        assert (await stores().claim("orders/stdout"))[1] == checkpoint(5, {"lsn": "0/5"})

    async def test_epochs_grow(self, stores: _Stores) -> None:
        epochs = [(await stores().claim("orders/stdout"))[0] for _ in range(4)]
        assert epochs == sorted(set(epochs))

    async def test_the_newest_claim_fences_the_older(self, stores: _Stores) -> None:
        old, new = stores(), stores()
        first, _ = await old.claim("orders/stdout")
        await old.save("orders/stdout", first, checkpoint(1, {"lsn": "0/1"}, Owner("a", 1, "old")))
        second, stored = await new.claim("orders/stdout")
        assert stored == checkpoint(1, {"lsn": "0/1"}, Owner("a", 1, "old"))
        with pytest.raises(Fenced):
            await old.save("orders/stdout", first, checkpoint(2, {"lsn": "0/2"}, Owner("a", 1, "old")))
        assert await stores().peek("orders/stdout") == stored
        await new.save("orders/stdout", second, checkpoint(2, {"lsn": "0/3"}, Owner("b", 2, "new")))
        with pytest.raises(Fenced):
            await old.save("orders/stdout", first, checkpoint(3, {"lsn": "0/4"}, Owner("a", 1, "old")))
        assert await stores().peek("orders/stdout") == checkpoint(2, {"lsn": "0/3"}, Owner("b", 2, "new"))

    async def test_a_claim_fences_before_anything_is_saved(self, stores: _Stores) -> None:
        old, new = stores(), stores()
        epoch, _ = await old.claim("orders/stdout")
        await new.claim("orders/stdout")
        with pytest.raises(Fenced):
            await old.save("orders/stdout", epoch, checkpoint(1, {"lsn": "0/1"}))
        assert await stores().peek("orders/stdout") is None

    async def test_peek_fences_nobody(self, stores: _Stores) -> None:
        store, other = stores(), stores()
        epoch, _ = await store.claim("orders/stdout")
        for sequence in range(1, 4):
            await other.peek("orders/stdout")
            await store.save("orders/stdout", epoch, checkpoint(sequence, {"lsn": "0/1"}))

    async def test_identities_do_not_disturb_each_other(self, stores: _Stores) -> None:
        store, other = stores(), stores()
        names = ["orders/a", "orders/b", "invoices/a", "orders/ä b"]
        epochs = {name: (await store.claim(name))[0] for name in names}
        await other.claim("invoices/b")
        for sequence, name in enumerate(names):
            await store.save(name, epochs[name], checkpoint(sequence, {"lsn": f"0/{sequence}"}))
        for sequence, name in enumerate(names):
            assert await other.peek(name) == checkpoint(sequence, {"lsn": f"0/{sequence}"})

    async def test_calls_may_overlap(self, stores: _Stores) -> None:
        """Several sinks of one pipeline use one store object."""
        store = stores()
        names = [f"orders/{n}" for n in range(5)]
        claims = await asyncio.gather(*(store.claim(name) for name in names))
        await asyncio.gather(
            *(
                store.save(name, epoch, checkpoint(1, {"lsn": name}))
                for name, (epoch, _) in zip(names, claims, strict=True)
            )
        )
        found = await asyncio.gather(*(store.peek(name) for name in names))
        assert found == [checkpoint(1, {"lsn": name}) for name in names]

    async def test_of_two_racing_claims_one_is_fenced(self, stores: _Stores) -> None:
        one, two = stores(), stores()
        (first, _), (second, _) = await asyncio.gather(one.claim("orders/a"), two.claim("orders/a"))
        assert first != second
        saves = await asyncio.gather(
            one.save("orders/a", first, checkpoint(1, {"lsn": "one"})),
            two.save("orders/a", second, checkpoint(1, {"lsn": "two"})),
            return_exceptions=True,
        )
        assert [type(result) for result in saves].count(Fenced) == 1
        winner = "one" if first > second else "two"
        assert await stores().peek("orders/a") == checkpoint(1, {"lsn": winner})

    async def test_forget(self, stores: _Stores) -> None:
        store = stores()
        assert not await store.forget("orders/stdout")
        epoch, _ = await store.claim("orders/stdout")
        await store.save("orders/stdout", epoch, checkpoint(1, {"lsn": "0/1"}))
        await store.claim("orders/other")
        assert await stores().forget("orders/stdout")
        assert await stores().peek("orders/stdout") is None
        assert not await stores().forget("orders/stdout")

    async def test_a_forgotten_writer_does_not_come_back(self, stores: _Stores) -> None:
        """An epoch is never used twice, or a process from before would write again after a new claim."""
        old, new = stores(), stores()
        epoch, _ = await old.claim("orders/stdout")
        await old.save("orders/stdout", epoch, checkpoint(1, {"lsn": "0/1"}))
        await stores().forget("orders/stdout")
        with pytest.raises(Fenced):
            await old.save("orders/stdout", epoch, checkpoint(2, {"lsn": "0/2"}))
        newest, stored = await new.claim("orders/stdout")
        assert stored is None
        assert newest > epoch
        with pytest.raises(Fenced):
            await old.save("orders/stdout", epoch, checkpoint(2, {"lsn": "0/2"}))
        assert await stores().peek("orders/stdout") is None

    async def test_check_finds_no_fault_and_changes_nothing(self, stores: _Stores) -> None:
        assert [finding for finding in await stores().check() if finding.error is not None] == []
        assert await stores().peek("orders/stdout") is None
        running = stores()
        epoch, _ = await running.claim("orders/stdout")
        await stores().check()
        await running.save("orders/stdout", epoch, checkpoint(1, {"lsn": "0/1"}))
        assert [finding for finding in await stores().check() if finding.error is not None] == []

    async def test_close_is_legal_in_any_state(self, stores: _Stores) -> None:
        fresh, claimed = stores(), stores()
        await claimed.claim("orders/stdout")
        for store in (fresh, claimed) * 2:
            await store.close()
