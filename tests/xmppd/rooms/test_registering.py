"""People become members by themselves, with a nickname of their own (XEP-0045 §7.10, §7.12)."""

import pytest

from tests.support.rooms import MUC, ask, condition, den, enter, item, presences
from tests.support.world import Client, World

REGISTER = "<query xmlns='jabber:iq:register'>{}</query>"


async def register(client: Client, nick: str) -> object:
    fields = f"<field var='FORM_TYPE'><value>{MUC}#register</value></field><field var='muc#register_roomnick'><value>{nick}</value></field>"
    return await ask(client, "set", REGISTER.format(f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>"))


async def test_form_is_offered_and_filled_in_makes_a_member(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    form = await ask(juliet, "get", REGISTER.format(""))
    assert "muc#register_roomnick" in form.to_xml().decode()
    assert (await register(juliet, "Juliet")).type == "result"  # type: ignore[attr-defined]
    assert item((await romeo.drain())[0])["affiliation"] == "member"
    registered = await ask(juliet, "get", REGISTER.format(""))
    assert [child.name for child in registered.elements()[0].elements()] == ["registered", "username"]
    info = await ask(juliet, "get", "<query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'/>")
    assert info.elements()[0].elements()[0].get("name") == "Juliet"


@pytest.mark.parametrize("nick", ["Romeo", "r0meo"])
async def test_nickname_of_another_is_a_conflict(world: World, nick: str) -> None:
    _, juliet, mercutio = await den(world)
    assert condition(await register(juliet, nick)) == "conflict"  # type: ignore[arg-type]
    await register(juliet, "Rose")
    assert condition(await register(mercutio, "ROSE")) == "conflict"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("", "bad-request"),
        ("<username>x</username>", "bad-request"),
        ("<x xmlns='jabber:x:data' type='submit'/>", "bad-request"),
        ("<x xmlns='jabber:x:data' type='nonsense'/>", "bad-request"),
        (f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register</value></field></x>", "jid-malformed"),
    ],
)  # fmt: skip
async def test_what_is_no_form_is_refused(world: World, inner: str, expected: str) -> None:
    _, juliet, _ = await den(world)
    assert condition(await ask(juliet, "set", REGISTER.format(inner))) == expected


async def test_room_that_takes_no_members_says_so(world: World) -> None:
    _, juliet, _ = await den(world, allowregister=False)
    assert condition(await ask(juliet, "get", REGISTER.format(""))) == "not-allowed"
    assert condition(await register(juliet, "Juliet")) == "not-allowed"  # type: ignore[arg-type]


async def test_member_leaves_its_membership(world: World) -> None:
    _, juliet, mercutio = await den(world)
    remove = REGISTER.format("<remove/>")
    assert condition(await ask(juliet, "set", remove)) == "registration-required"
    await register(juliet, "Rose")
    assert (await ask(juliet, "set", remove)).type == "result"
    assert condition((await enter(mercutio, "Rose"))[0]) == ""
    assert item(presences(await enter(juliet, "Juliet"))[-1])["affiliation"] == "none"


async def test_owner_keeps_its_affiliation_with_a_reserved_nickname(world: World) -> None:
    romeo, _, _ = await den(world)
    await register(romeo, "Romeo")
    assert (await ask(romeo, "set", REGISTER.format("<remove/>"))).type == "result"
    assert (await ask(romeo, "get", f"<query xmlns='{MUC}#owner'/>")).type == "result"
