"""The archive, in every backend."""

import pytest

from storage.interface import ArchiveCopy, ArchivedMessage, ArchiveQuery, Backend, StorageError
from tests.storage.tools import JULIET, NURSE, ROMEO, both, ids


async def fill(backend: Backend, count: int) -> None:
    """Messages 1 to `count`; Romeo to Juliet, and every third to the nurse."""
    for n in range(1, count + 1):
        backend.archive.append(n, b"<m%d/>" % n, both(ROMEO, NURSE if n % 3 == 0 else JULIET))
    await backend.flush()


async def test_each_owner_sees_its_own_side_of_a_message(backend: Backend) -> None:
    await backend.archive.append(7, b"<message/>", both(ROMEO, JULIET))
    page = await backend.archive.query(ROMEO, ArchiveQuery())
    assert page.messages == [ArchivedMessage(7, b"<message/>", JULIET, "desk", True)]
    page = await backend.archive.query(JULIET, ArchiveQuery())
    assert page.messages == [ArchivedMessage(7, b"<message/>", ROMEO, "phone", False)]
    assert page.is_last and page.total is None


async def test_a_history_of_nobody_is_empty(backend: Backend) -> None:
    page = await backend.archive.query(ROMEO, ArchiveQuery(want_total=True))
    assert (page.messages, page.is_last, page.total) == ([], True, 0)
    assert await backend.archive.bounds(ROMEO) is None
    assert await backend.archive.pending(ROMEO, 0, 10) == []
    assert await backend.archive.recent_marks(ROMEO, 0, 10) == {}
    assert not await backend.archive.has(ROMEO, 1)


async def test_pages_go_forward_and_know_the_last(backend: Backend) -> None:
    await fill(backend, 10)
    seen, after, is_last = [], None, False
    while not is_last:
        page = await backend.archive.query(ROMEO, ArchiveQuery(limit=4, after_id=after, want_total=True))
        seen.append(ids(page.messages))
        after, is_last = page.messages[-1].id, page.is_last
        assert page.total == 10
    assert seen == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


async def test_pages_go_backward_and_know_the_last(backend: Backend) -> None:
    await fill(backend, 10)
    seen, before, is_last = [], None, False
    while not is_last:
        page = await backend.archive.query(ROMEO, ArchiveQuery(limit=5, before_id=before, newest_first=True))
        seen.append(ids(page.messages))
        before, is_last = page.messages[0].id, page.is_last
    assert seen == [[6, 7, 8, 9, 10], [1, 2, 3, 4, 5]]


async def test_a_peer_selects_its_messages_alone(backend: Backend) -> None:
    await fill(backend, 10)
    page = await backend.archive.query(ROMEO, ArchiveQuery(peer=NURSE, want_total=True))
    assert ids(page.messages) == [3, 6, 9]
    assert page.total == 3
    page = await backend.archive.query(ROMEO, ArchiveQuery(peer="nobody@example.org", want_total=True))
    assert (page.messages, page.total, page.is_last) == ([], 0, True)


async def test_a_resource_selects_within_a_peer(backend: Backend) -> None:
    for n, resource in enumerate(("", "desk", "phone", "desk"), start=1):
        backend.archive.append(n, b"x", [ArchiveCopy(ROMEO, JULIET, resource)])
    await backend.flush()
    for resource, expected in (("desk", [2, 4]), ("", [1]), ("other", [])):
        page = await backend.archive.query(ROMEO, ArchiveQuery(peer=JULIET, peer_resource=resource))
        assert ids(page.messages) == expected
        assert all(message.peer_resource == resource for message in page.messages)


async def test_ids_select_those_that_the_owner_has(backend: Backend) -> None:
    await fill(backend, 10)
    page = await backend.archive.query(ROMEO, ArchiveQuery(ids=(9, 2, 99, 2**62, 5)))
    assert ids(page.messages) == [2, 5, 9]
    page = await backend.archive.query(JULIET, ArchiveQuery(ids=(9, 2)))
    assert ids(page.messages) == [2]
    page = await backend.archive.query(ROMEO, ArchiveQuery(ids=()))
    assert page.messages == []


async def test_the_largest_bounds_and_ids_are_allowed(backend: Backend) -> None:
    greatest = 2**63 - 1
    await backend.archive.append(greatest, b"x", [ArchiveCopy(ROMEO, JULIET, mark=-(2**63))])
    everything = ArchiveQuery(start_id=0, end_id=greatest, after_id=0)
    assert ids((await backend.archive.query(ROMEO, everything)).messages) == [greatest]
    nothing = ArchiveQuery(after_id=greatest)
    assert (await backend.archive.query(ROMEO, nothing)).messages == []
    assert await backend.archive.recent_marks(ROMEO, 0, 5) == {-(2**63): greatest}


async def test_an_invisible_copy_is_pending_but_not_in_the_history(backend: Backend) -> None:
    await backend.archive.append(1, b"x", [ArchiveCopy(ROMEO, JULIET, pending=True, visible=False)])
    assert not await backend.archive.has(ROMEO, 1)
    assert await backend.archive.bounds(ROMEO) is None
    assert (await backend.archive.query(ROMEO, ArchiveQuery(want_total=True))).total == 0
    assert ids(await backend.archive.pending(ROMEO, 0, 10)) == [1]


async def test_pending_gives_the_first_after_an_id(backend: Backend) -> None:
    for n in range(1, 10):
        backend.archive.append(n, b"x", [ArchiveCopy(ROMEO, JULIET, "phone", pending=n % 2 == 0)])
    await backend.flush()
    assert ids(await backend.archive.pending(ROMEO, 0, 10)) == [2, 4, 6, 8]
    assert ids(await backend.archive.pending(ROMEO, 2, 2)) == [4, 6]
    assert await backend.archive.pending(ROMEO, 8, 10) == []
    assert (await backend.archive.pending(ROMEO, 7, 10)) == [ArchivedMessage(8, b"x", JULIET, "phone", False)]


async def test_recent_marks_are_the_newest_that_are_not_too_old(backend: Backend) -> None:
    for n in range(1, 10):
        backend.archive.append(n, b"x", [ArchiveCopy(ROMEO, JULIET, mark=-n if n % 2 else 0)])
    await backend.flush()
    assert await backend.archive.recent_marks(ROMEO, 0, 100) == {-1: 1, -3: 3, -5: 5, -7: 7, -9: 9}
    assert await backend.archive.recent_marks(ROMEO, 0, 2) == {-7: 7, -9: 9}
    assert await backend.archive.recent_marks(ROMEO, 7, 100) == {-7: 7, -9: 9}


async def test_ids_out_of_order_find_their_place(backend: Backend) -> None:
    for n in (5, 1, 9, 3):
        backend.archive.append(n, b"%d" % n, both(ROMEO, JULIET))
    await backend.flush()
    page = await backend.archive.query(ROMEO, ArchiveQuery())
    assert [(message.id, message.stanza) for message in page.messages] == [(n, b"%d" % n) for n in (1, 3, 5, 9)]


async def test_an_id_given_twice_fails_alone_and_the_first_message_stays(backend: Backend) -> None:
    first = backend.archive.append(1, b"first", both(ROMEO, JULIET))
    second = backend.archive.append(1, b"second", both(NURSE, JULIET))
    third = backend.archive.append(2, b"third", both(NURSE, JULIET))
    await first
    with pytest.raises(StorageError):
        await second
    await third
    page = await backend.archive.query(JULIET, ArchiveQuery())
    assert [message.stanza for message in page.messages] == [b"first", b"third"]
    assert await backend.archive.bounds(NURSE) == (2, 2)


@pytest.mark.parametrize("copies", [[], [ArchiveCopy(ROMEO, JULIET), ArchiveCopy(ROMEO, NURSE)]])
async def test_copies_must_be_of_different_owners_and_one_at_least(backend: Backend, copies: list[ArchiveCopy]) -> None:
    with pytest.raises(ValueError):
        backend.archive.append(1, b"x", copies)
    await backend.archive.append(1, b"x", both(ROMEO, JULIET))


async def test_a_message_may_have_many_copies(backend: Backend) -> None:
    owners = [f"occupant{n}@example.org" for n in range(100)]
    await backend.archive.append(1, b"x", [ArchiveCopy(owner, "room@example.org", "nick") for owner in owners])
    for owner in owners:
        assert await backend.archive.bounds(owner) == (1, 1)


async def test_a_replaced_stanza_is_replaced_for_all(backend: Backend) -> None:
    backend.archive.append(1, b"secret", both(ROMEO, JULIET))
    backend.archive.replace_stanza(1, b"tombstone")
    backend.archive.append(2, b"next", both(ROMEO, JULIET))
    await backend.archive.replace_stanza(99, b"nobody's")
    for owner in (ROMEO, JULIET):
        page = await backend.archive.query(owner, ArchiveQuery())
        assert [message.stanza for message in page.messages] == [b"tombstone", b"next"]


@pytest.mark.parametrize("count", [10, 1500])
async def test_prune_forgets_the_older_messages_of_all(backend: Backend, count: int) -> None:
    await fill(backend, count)
    await backend.archive.prune(count - 3)
    page = await backend.archive.query(ROMEO, ArchiveQuery(want_total=True))
    assert ids(page.messages) == [count - 3, count - 2, count - 1, count]
    assert page.total == 4
    for owner in (ROMEO, JULIET, NURSE):
        bounds = await backend.archive.bounds(owner)
        assert bounds is not None and bounds[0] >= count - 3
    assert not await backend.archive.has(ROMEO, count - 4)


async def test_prune_of_many_histories_reaches_each(backend: Backend) -> None:
    for n in range(1, 601):
        backend.archive.append(n, b"x", [ArchiveCopy(f"user{n}@example.org", JULIET)])
    await backend.archive.prune(600)
    for n in range(1, 600):
        assert await backend.archive.bounds(f"user{n}@example.org") is None
    assert await backend.archive.bounds("user600@example.org") == (600, 600)


async def test_appends_before_a_prune_are_pruned_and_those_after_it_are_not_waited_for(backend: Backend) -> None:
    backend.archive.append(1, b"x", both(ROMEO, JULIET))
    pruned = backend.archive.prune(2)
    await backend.archive.append(3, b"x", both(ROMEO, JULIET))
    await pruned
    assert await backend.archive.bounds(ROMEO) == (3, 3)


async def test_a_stanza_comes_back_byte_for_byte(backend: Backend) -> None:
    stanza = "<message>\0 ☃ ' \" \\ 𐍈</message>".encode() * 5000
    await backend.archive.append(1, stanza, [ArchiveCopy("ä@example.org", 'quo"te@example.org', "a\\b 𐍈\n")])
    (message,) = (await backend.archive.query("ä@example.org", ArchiveQuery())).messages
    assert message == ArchivedMessage(1, stanza, 'quo"te@example.org', "a\\b 𐍈\n", False)


async def test_the_greatest_id_is_known(backend: Backend) -> None:
    assert backend.archive.last_id == 0
    await fill(backend, 3)
    await backend.archive.append(1_000, b"<message/>", both(ROMEO, JULIET))
    await backend.archive.append(500, b"<message/>", both(ROMEO, JULIET))
    assert backend.archive.last_id == 1_000
