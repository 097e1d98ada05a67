"""Key-value stores, in every backend."""

from storage.interface import Backend
from tests.storage.tools import JULIET, ROMEO


async def test_a_value_comes_back_byte_for_byte(backend: Backend) -> None:
    store = backend.keyval("prefs")
    for value in (b"", b"\x00\xff", bytes(range(256)) * 400):
        await store.set(ROMEO, value)
        assert await store.get(ROMEO) == value


async def test_a_missing_value_is_none(backend: Backend) -> None:
    assert await backend.keyval("prefs").get(ROMEO) is None


async def test_the_last_of_many_values_in_one_batch_stands(backend: Backend) -> None:
    store = backend.keyval("prefs")
    commits = [store.set(owner, b"%d" % n) for n in range(50) for owner in (ROMEO, JULIET)]
    for commit in commits:
        await commit
    assert await store.get(ROMEO) == await store.get(JULIET) == b"49"


async def test_sets_and_deletions_keep_their_order_within_a_batch(backend: Backend) -> None:
    store = backend.keyval("prefs")
    store.set(ROMEO, b"1")
    store.delete(ROMEO)
    store.set(JULIET, b"1")
    store.set(JULIET, b"2")
    await store.delete(ROMEO)
    assert await store.get(ROMEO) is None
    store.delete(JULIET)
    await store.set(JULIET, b"3")
    assert await store.get(JULIET) == b"3"


async def test_stores_of_other_names_and_other_owners_are_apart(backend: Backend) -> None:
    await backend.keyval("prefs").set(ROMEO, b"1")
    assert await backend.keyval("vcard").get(ROMEO) is None
    assert await backend.keyval("prefs").get(JULIET) is None
    assert await backend.keyval("prefs").get(ROMEO) == b"1"


async def test_owners_beyond_ascii_are_kept_apart_too(backend: Backend) -> None:
    store = backend.keyval("prefs")
    names = ["\u00e9@example.org", "e\u0301@example.org", "𐍈@example.org", "a'; DROP TABLE keyval; --"]
    for n, name in enumerate(names):
        await store.set(name, b"%d" % n)
    assert [await store.get(name) for name in names] == [b"0", b"1", b"2", b"3"]
