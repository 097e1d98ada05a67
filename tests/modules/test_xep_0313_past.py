"""Messages of the past: their order, their ids, and what is none."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from codec.element import parse_element
from codec.jid import JID
from codec.stanza import Message
from storage.interface import ArchiveCopy, ArchiveQuery, StorageError
from storage.memory import MemoryBackend
from xmppd.clock import time_of_id
from xmppd.errors import StanzaError
from xmppd.modules.xep_0313_past import TRIES, Past, read_result, read_waiting

JULIET, ROMEO = JID.parse("juliet@example.org"), JID.parse("romeo@example.net")
MOMENT = datetime(2010, 7, 10, 23, 8, 25, tzinfo=UTC)


def message(number: int) -> Message:
    return Message(JULIET, ROMEO, str(number), "chat")


async def bodies(backend: MemoryBackend, owner: JID = JULIET) -> list[str]:
    page = await backend.archive.query(owner, ArchiveQuery(limit=2_000))
    return [str(parse_element(found.stanza).get("id")) for found in page.messages]


async def test_messages_of_one_second_keep_their_order() -> None:
    backend = MemoryBackend()
    past = Past(backend.archive)
    moments = [MOMENT] * 1_500 + [MOMENT + timedelta(microseconds=3_000)]
    for number, moment in enumerate(moments):
        await past.keep(JULIET, message(number), moment, ArchiveCopy(JULIET, ROMEO))
    assert await bodies(backend) == [str(number) for number in range(1_501)]
    bounds = await backend.archive.bounds(JULIET)
    assert bounds is not None
    assert abs(time_of_id(bounds[0]) - MOMENT) < timedelta(milliseconds=1)


async def test_the_same_moment_of_another_account_takes_no_place() -> None:
    backend = MemoryBackend()
    past = Past(backend.archive)
    tasks = [
        past.keep(owner, message(1), MOMENT, ArchiveCopy(owner, ROMEO)) for owner in (JULIET, ROMEO, JULIET, JULIET)
    ]
    await asyncio.gather(*tasks)
    assert len(await bodies(backend)) == 3
    assert len(await bodies(backend, ROMEO)) == 1


async def test_storage_that_refuses_is_told_of_in_the_end() -> None:
    backend = MemoryBackend()
    backend.fail_with(StorageError("no"))
    with pytest.raises(StorageError, match="no"):
        await Past(backend.archive).keep(JULIET, message(1), MOMENT, ArchiveCopy(JULIET, ROMEO))
    assert TRIES < 100


RESULT = (
    "<result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'>"
    "<delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>{}</forwarded></result>"
)


@pytest.mark.parametrize(
    ("addresses", "peer", "resource", "is_outgoing"),
    [
        ("from='romeo@example.net/o' to='juliet@example.org/b'", ROMEO, "o", False),
        ("from='juliet@example.org/b' to='romeo@example.net/o'", ROMEO, "o", True),
        ("to='romeo@example.net'", ROMEO, "", True),
        ("from='juliet@example.org/b'", JULIET, "", True),
    ],
)
def test_a_result_says_whose_side_it_was(addresses, peer, resource, is_outgoing) -> None:
    element = parse_element(
        RESULT.format(f"<message xmlns='jabber:client' {addresses}><body>x</body></message>").encode()
    )
    found, moment, copy = read_result(element, JULIET)
    assert copy == ArchiveCopy(JULIET, peer, resource, is_outgoing)
    assert moment == MOMENT
    assert "jabber:client body" in found.tags


@pytest.mark.parametrize(
    "inner", ["", "<presence xmlns='jabber:client'/>", "<message xmlns='jabber:client' from='@'/>"]
)
def test_a_result_without_a_message_is_none(inner: str) -> None:
    with pytest.raises(StanzaError, match="bad-request"):
        read_result(parse_element(RESULT.format(inner).encode()), JULIET)


def test_what_its_own_server_said_of_the_time_counts() -> None:
    xml = (
        "<message xmlns='jabber:client' from='romeo@example.net/o'><body>x</body>"
        "<delay xmlns='urn:xmpp:delay' from='muc.example.net' stamp='2001-01-01T00:00:00Z'/>"
        "<delay xmlns='urn:xmpp:delay' from='example.org' stamp='2010-07-10T23:08:25Z'/></message>"
    )
    found, moment = read_waiting(parse_element(xml.encode()), JULIET)
    assert moment == MOMENT
    assert found.to_xml().count(b"<delay") == 1
    assert read_waiting(parse_element(b"<message xmlns='jabber:client'/>"), JULIET)[1] is None
    with pytest.raises(StanzaError):
        read_waiting(parse_element(b"<iq xmlns='jabber:client'/>"), JULIET)
