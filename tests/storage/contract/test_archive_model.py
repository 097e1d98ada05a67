"""Histories against a model: whatever is appended, replaced, pruned and erased, every query gives what a plain list gives."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.interface import ArchiveCopy, ArchivedMessage, ArchiveQuery, Backend
from storage.memory import MemoryBackend
from storage.sqlite.backend import SqliteBackend

OWNERS = ["a@x", "b@x", "c@x"]
RESOURCES = ["", "r"]
IDS = st.integers(1, 30)


@dataclass(frozen=True)
class Message:
    id: int
    stanza: bytes
    copies: tuple[ArchiveCopy, ...]


copies = st.lists(
    st.builds(
        ArchiveCopy,
        owner=st.sampled_from(OWNERS),
        peer=st.sampled_from(OWNERS),
        peer_resource=st.sampled_from(RESOURCES),
        outgoing=st.booleans(),
        pending=st.booleans(),
        visible=st.sampled_from([True, True, True, False]),
        mark=st.integers(-2, 2),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda copy: copy.owner,
).map(tuple)
steps = st.one_of(
    st.builds(Message, IDS, st.binary(max_size=5), copies),
    st.builds(Message, IDS, st.binary(max_size=5), copies),
    st.builds(Message, IDS, st.binary(max_size=5), copies),
    st.tuples(st.just("replace"), IDS),
    st.tuples(st.just("prune"), IDS),
    st.tuples(st.just("erase"), st.sampled_from(OWNERS)),
    st.just("flush"),
)
bound = st.none() | IDS
queries = st.builds(
    ArchiveQuery,
    peer=st.sampled_from([None, None, *OWNERS, "nobody@x"]),
    peer_resource=st.sampled_from([None, None, *RESOURCES]),
    start_id=bound,
    end_id=bound,
    after_id=bound,
    before_id=bound,
    ids=st.none() | st.none() | st.lists(IDS, max_size=5).map(tuple),
    limit=st.integers(1, 10),
    newest_first=st.booleans(),
    want_total=st.booleans(),
)


class Model:
    """What the archive should hold."""

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}

    def history(self, owner: str) -> Iterator[tuple[ArchiveCopy, ArchivedMessage]]:
        for id_ in sorted(self.messages):
            message = self.messages[id_]
            for copy in message.copies:
                if copy.owner == owner:
                    found = ArchivedMessage(id_, message.stanza, copy.peer, copy.peer_resource, copy.outgoing)
                    yield copy, found

    def selected(self, owner: str, query: ArchiveQuery) -> list[ArchivedMessage]:
        return [
            found
            for copy, found in self.history(owner)
            if copy.visible
            and query.peer in (None, copy.peer)
            and query.peer_resource in (None, copy.peer_resource)
            and (query.start_id is None or found.id >= query.start_id)
            and (query.end_id is None or found.id <= query.end_id)
            and (query.after_id is None or found.id > query.after_id)
            and (query.before_id is None or found.id < query.before_id)
            and (query.ids is None or found.id in query.ids)
        ]

    def erase(self, owner: str) -> None:
        for id_, message in list(self.messages.items()):
            left = tuple(copy for copy in message.copies if copy.owner != owner)
            self.messages[id_] = replace(message, copies=left)
            if not left:
                del self.messages[id_]


async def play(backend: Backend, model: Model, script: list[object]) -> None:
    for step in script:
        match step:
            case Message():
                commit = backend.archive.append(step.id, step.stanza, step.copies)
                is_new = step.id not in model.messages
                commit.add_done_callback(lambda done, is_new=is_new: check(is_new == (done.error is None)))
                model.messages.setdefault(step.id, step)
            case ("replace", int(id_)):
                backend.archive.replace_stanza(id_, b"new")
                if id_ in model.messages:
                    model.messages[id_] = replace(model.messages[id_], stanza=b"new")
            case ("prune", int(id_)):
                await backend.archive.prune(id_)
                model.messages = {i: message for i, message in model.messages.items() if i >= id_}
            case ("erase", str(owner)):
                await backend.erase(owner)
                model.erase(owner)
            case "flush":
                await backend.flush()
    await backend.flush()


def check(claim: bool) -> None:
    assert claim


async def compare(backend: Backend, model: Model, owner: str, query: ArchiveQuery) -> None:
    archive = backend.archive
    expected = model.selected(owner, query)
    cut = expected[-query.limit :] if query.newest_first else expected[: query.limit]
    page = await archive.query(owner, query)
    assert page.messages == cut
    assert page.is_last == (len(expected) <= query.limit)
    whole = model.selected(owner, replace(query, after_id=None, before_id=None))
    assert page.total == (len(whole) if query.want_total else None)
    history = list(model.history(owner))
    visible = [message.id for copy, message in history if copy.visible]
    assert await archive.bounds(owner) == ((visible[0], visible[-1]) if visible else None)
    for id_ in (1, 7, 15):
        assert await archive.has(owner, id_) == (id_ in visible)
    after = query.after_id or 0
    pending = [message for copy, message in history if copy.pending and message.id > after]
    assert await archive.pending(owner, after, query.limit) == pending[: query.limit]
    marked = [(copy.mark, message.id) for copy, message in history if copy.mark and message.id >= after]
    assert await archive.recent_marks(owner, after, query.limit) == dict(marked[-query.limit :])


async def scenario(backend: Backend, script: list[object], asked: list[tuple[str, ArchiveQuery]]) -> None:
    model = Model()
    await backend.open()
    try:
        await play(backend, model, script)
        for owner, query in asked:
            await compare(backend, model, owner, query)
    finally:
        await backend.close()


@pytest.mark.parametrize("make", [lambda _: MemoryBackend(), lambda path: SqliteBackend(path, commit_window_ms=0)])
@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=40), st.lists(st.tuples(st.sampled_from(OWNERS), queries), min_size=1, max_size=8))
def test_every_query_gives_what_a_list_of_messages_gives(
    make: Callable[[Path], Backend], script: list[object], asked: list[tuple[str, ArchiveQuery]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(make(Path(folder) / "xmppd.db"), script, asked))
