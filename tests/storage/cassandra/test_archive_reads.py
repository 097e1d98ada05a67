"""Reading rows out of buckets."""

from cassandra.cluster import Session

from storage.cassandra.archive_reads import History, Reads, is_visible, message_of
from storage.cassandra.backend import CassandraBackend
from storage.interface import ArchiveCopy, ArchivedMessage
from tests.storage.cassandra.marks import ON_CASSANDRA
from tests.storage.tools import JULIET, ROMEO, both

pytestmark = ON_CASSANDRA


def reads_of(backend: CassandraBackend) -> Reads:
    return backend.archive._reads


def test_a_row_without_a_peer_and_a_hidden_one_are_not_shown() -> None:
    assert is_visible((1, b"x", JULIET, "", None, None))
    assert not is_visible((1, b"x", JULIET, "", None, True))
    assert not is_visible((1, b"x", None, None, None, None))
    assert message_of((1, b"x", JULIET, "r", None, None)) == ArchivedMessage(1, b"x", JULIET, "r", False)


async def test_hidden_rows_do_not_make_a_page_shorter(cassandra_backend: CassandraBackend) -> None:
    for n in range(1, 41):
        copy = ArchiveCopy(ROMEO, JULIET, pending=True, visible=n % 8 == 0)
        cassandra_backend.archive.append(n, b"x", [copy])
    await cassandra_backend.flush()
    history = History(reads_of(cassandra_backend), ROMEO)
    assert [row[0] for row in await history.read(0, 0, 99, 3, False)] == [8, 16, 24]
    assert [row[0] for row in await history.read(0, 0, 99, 3, True)] == [40, 32, 24]
    assert [row[0] for row in await history.read(0, 17, 23, 3, True)] == []
    assert await history.count(0, 9, 99) == 4


async def test_places_whose_message_is_gone_are_left_out(
    cassandra_backend: CassandraBackend, administrator: Session, keyspace: str
) -> None:
    for n in range(1, 4):
        await cassandra_backend.archive.append(n, b"%d" % n, both(ROMEO, JULIET))
    administrator.execute(f"DELETE FROM {keyspace}.history WHERE owner = %s AND bucket = 0 AND id = 2", (ROMEO,))
    rows = await reads_of(cassandra_backend).messages_at_home(ROMEO, [(3, 0, ""), (2, 0, ""), (1, 0, "")])
    assert [row[1] for row in rows] == [b"1", b"3"]
