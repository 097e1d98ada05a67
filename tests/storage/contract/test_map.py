"""Map stores, in every backend."""

import pytest

from storage.interface import Backend
from tests.storage.tools import JULIET, ROMEO


async def test_update_puts_and_removes(backend: Backend) -> None:
    store = backend.map("roster")
    await store.update(ROMEO, {"a": b"1", "b": b"2", "c": b"3"})
    await store.update(ROMEO, {"b": b"22", "d": b""}, remove=["a", "nobody"])
    assert await store.items(ROMEO) == {"b": b"22", "c": b"3", "d": b""}
    assert await store.get(ROMEO, "b") == b"22"
    assert await store.get(ROMEO, "a") is None


async def test_what_is_put_and_removed_in_one_update_is_there(backend: Backend) -> None:
    store = backend.map("roster")
    await store.update(ROMEO, {"a": b"1"}, remove=["a"])
    assert await store.items(ROMEO) == {"a": b"1"}


async def test_later_changes_of_the_callers_mapping_are_not_written(backend: Backend) -> None:
    put = {"a": b"1"}
    commit = backend.map("roster").update(ROMEO, put)
    put["a"] = b"2"
    await commit
    assert await backend.map("roster").get(ROMEO, "a") == b"1"


@pytest.mark.parametrize("count", [0, 1, 64, 65, 1000])
async def test_items_are_all_there_in_order_of_their_keys(backend: Backend, count: int) -> None:
    store = backend.map("roster")
    keys = [f"contact{n}" for n in range(count)]
    await store.update(ROMEO, {key: key.encode() for key in reversed(keys)})
    await store.update(JULIET, {"other": b""})
    items = await store.items(ROMEO)
    assert list(items) == sorted(keys)
    assert items == {key: key.encode() for key in keys}


async def test_clear_leaves_other_owners_and_other_stores(backend: Backend) -> None:
    store = backend.map("roster")
    await store.update(ROMEO, {"a": b"1"})
    await store.update(JULIET, {"a": b"2"})
    await backend.map("blocks").update(ROMEO, {"a": b"3"})
    await store.clear(ROMEO)
    assert await store.items(ROMEO) == {}
    assert await store.items(JULIET) == {"a": b"2"}
    assert await backend.map("blocks").items(ROMEO) == {"a": b"3"}
