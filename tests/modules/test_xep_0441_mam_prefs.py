"""XEP-0441: Message Archive Management Preferences."""

from typing import Any

import pytest

from codec.jid import JID
from storage.interface import ArchiveQuery, StorageFull
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.chat import MAM, MESSAGES, Phone, chat, condition
from tests.support.world import World
from xmppd.modules.rfc_6121_roster import Contact, Roster
from xmppd.modules.xep_0441_mam_prefs import MAX_EXCEPTIONS, Choice

ROMEO, JULIET = "romeo@example.org/orchard", "juliet@example.org/balcony"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MESSAGES)


def prefs_xml(default: str | None, always: tuple[str, ...] = (), never: tuple[str, ...] = ()) -> str:
    lists = ""
    for name, jids in (("always", always), ("never", never)):
        if jids:
            lists += f"<{name}>{''.join(f'<jid>{jid}</jid>' for jid in jids)}</{name}>"
    attr = "" if default is None else f" default='{default}'"
    return f"<iq type='set' id='p'><prefs xmlns='{MAM}'{attr}>{lists}</prefs></iq>"


async def ask(phone: Phone, xml: str) -> Any:
    phone.take()
    [reply] = await phone.send(xml)
    return reply


def shown(reply: Any) -> tuple[str | None, list[str], list[str]]:
    """Return default, always and never of an answer."""
    [prefs] = reply.elements()
    assert reply.type == "result", reply.to_xml()
    lists = {element.name: [jid.text for jid in element.elements()] for element in prefs.elements()}
    assert list(lists) == ["always", "never"]
    return prefs.get("default"), lists["always"], lists["never"]


async def kept(world: World, owner: str) -> int:

    return len((await world.shared.backend.archive.query(owner, ArchiveQuery())).messages)


async def test_who_chose_nothing_keeps_everything(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    reply = await ask(romeo, f"<iq type='get' id='p'><prefs xmlns='{MAM}'/></iq>")
    assert shown(reply) == ("always", [], [])


@pytest.mark.parametrize("default", ["always", "roster", "never"])
async def test_the_operators_default_is_shown(make_world: MakeWorld, default: str) -> None:
    world = await make_world(*MESSAGES, settings={"archive.default": default})
    romeo = await Phone.login(world, ROMEO)
    assert shown(await ask(romeo, f"<iq type='get' id='p'><prefs xmlns='{MAM}'/></iq>"))[0] == default


async def test_a_choice_is_answered_shown_and_survives_a_restart(make_world: MakeWorld, world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    wanted = ("roster", ["juliet@example.org"], ["tybalt@example.org", "tybalt@example.org/street"])
    reply = await ask(romeo, prefs_xml("roster", ("Juliet@Example.org",), tuple(wanted[2])))
    assert shown(reply) == wanted
    assert shown(await ask(romeo, f"<iq type='get' id='p'><prefs xmlns='{MAM}'/></iq>")) == wanted
    again = await make_world(*MESSAGES, backend=world.shared.backend)
    romeo = await Phone.login(again, ROMEO)
    assert shown(await ask(romeo, f"<iq type='get' id='p'><prefs xmlns='{MAM}'/></iq>")) == wanted


@pytest.mark.parametrize(
    "xml",
    [
        prefs_xml(None),
        prefs_xml("sometimes"),
        prefs_xml("always", ("@@",)),
        f"<iq type='set' id='p'><prefs xmlns='{MAM}'/></iq>",
    ],
)
async def test_a_choice_that_is_none_is_a_bad_request(world: World, xml: str) -> None:
    romeo = await Phone.login(world, ROMEO)
    assert condition(await ask(romeo, xml)) == "bad-request"


async def test_too_many_exceptions_are_refused(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    jids = tuple(f"{number}@example.org" for number in range(MAX_EXCEPTIONS + 1))
    assert condition(await ask(romeo, prefs_xml("always", never=jids))) == "policy-violation"


async def test_a_choice_that_cannot_be_stored_is_not_taken(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    backend = world.shared.backend
    assert isinstance(backend, MemoryBackend)
    backend.fail_with(StorageFull("no room"), at_call=True)
    assert condition(await ask(romeo, prefs_xml("never"))) == "resource-constraint"
    backend.fail_with(None)
    assert shown(await ask(romeo, f"<iq type='get' id='p'><prefs xmlns='{MAM}'/></iq>"))[0] == "always"


@pytest.mark.parametrize(
    ("choice", "peer", "keeps"),
    [
        (("always", (), ()), "a@b", True),
        (("never", (), ()), "a@b", False),
        (("never", ("a@b",), ()), "a@b/c", True),
        (("always", (), ("a@b",)), "a@b/c", False),
        (("always", (), ("a@b/c",)), "a@b/c", False),
        (("always", (), ("a@b/c",)), "a@b/d", True),
        (("never", ("a@b/c",), ()), "a@b", False),
        (("never", ("a@b/c",), ("a@b",)), "a@b/c", True),
        (("always", ("a@b",), ("a@b/c",)), "a@b/c", False),
        (("roster", (), ()), "friend@b/c", True),
        (("roster", (), ()), "a@b/c", False),
        (("roster", (), ("friend@b",)), "friend@b/c", False),
        (("roster", ("a@b",), ()), "a@b/c", True),
    ],
)
def test_the_closest_entry_decides_then_the_default(
    choice: tuple[str, tuple[str, ...], tuple[str, ...]], peer: str, keeps: bool
) -> None:
    default, always, never = choice
    roster = Roster({"friend@b": Contact(is_listed=True)}, "1")
    taken = Choice(default, frozenset(always), frozenset(never), roster if default == "roster" else None)
    assert taken.keeps(JID.parse(peer)) is keeps


async def test_a_contact_added_later_is_kept_where_the_roster_decides(world: World) -> None:
    romeo, juliet = await Phone.login(world, ROMEO), await Phone.login(world, JULIET)
    await ask(romeo, prefs_xml("roster"))
    await juliet.send(chat(romeo, "one"))
    assert await kept(world, "romeo@example.org") == 0
    item = "<query xmlns='jabber:iq:roster'><item jid='juliet@example.org'/></query>"
    await romeo.send(f"<iq type='set' id='r'>{item}</iq>")
    await juliet.send(chat(romeo, "two"))
    assert await kept(world, "romeo@example.org") == 1
    item = "<query xmlns='jabber:iq:roster'><item jid='juliet@example.org' subscription='remove'/></query>"
    await romeo.send(f"<iq type='set' id='r'>{item}</iq>")
    await juliet.send(chat(romeo, "three"))
    assert await kept(world, "romeo@example.org") == 1


async def test_an_outgoing_message_is_judged_by_whom_it_is_for(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    await ask(romeo, prefs_xml("always", never=("juliet@example.org/balcony",)))
    await world.account("juliet@example.org")
    await romeo.send(chat("juliet@example.org/balcony", "one"), chat("juliet@example.org", "two"))
    assert await kept(world, "romeo@example.org") == 1
