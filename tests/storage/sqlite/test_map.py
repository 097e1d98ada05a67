"""How maps are read and written."""

from storage.sqlite.backend import SqliteBackend
from storage.sqlite.map import FEW
from tests.storage.tools import ROMEO, writer_connection


async def test_a_small_map_is_read_without_another_thread(sqlite: SqliteBackend) -> None:
    store = sqlite.map("roster")
    await store.update(ROMEO, {str(n): b"\xff" for n in range(FEW)})
    reading = store.items(ROMEO)
    try:
        reading.send(None)
    except StopIteration as done:
        assert len(done.value) == FEW
    else:
        raise AssertionError("it waited")


async def test_a_large_map_is_written_in_few_statements_and_read_whole(sqlite: SqliteBackend) -> None:
    store, seen = sqlite.map("roster"), list[str]()
    writer_connection(sqlite).set_trace_callback(seen.append)
    values = {f"contact{n}": bytes([n % 256]) * (n % 7) for n in range(1000)}
    await store.update(ROMEO, values)
    assert len([text for text in seen if text.startswith("INSERT")]) <= 10
    assert await store.items(ROMEO) == values
