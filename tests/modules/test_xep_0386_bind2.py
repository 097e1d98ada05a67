"""XEP-0386: Bind 2, and what 0198, 0280, 0313, 0352 and 0160 do within it."""

import pytest

from codec.element import Element
from codec.jid import JID
from codec.stanza import Message
from tests.modules.conftest import MakeWorld
from tests.support.sasl2 import (
    AGENT,
    BIND2,
    OTHER_AGENT,
    SASL2,
    SM,
    account,
    answers,
    arrived,
    authenticate,
    ended_with,
    failure_of,
    identifier,
    knock,
    login,
    plain,
    success_of,
)
from tests.support.world import Client, World
from xmppd.hooks import AuthenticatedEvent, sasl2_authenticated

MODULES = (
    "rfc_6121_message",
    "rfc_6121_presence",
    "rfc_6121_roster",
    "rfc_6121_subscription",
    "xep_0160_offline",
    "xep_0198_sm",
    "xep_0199_ping",
    "xep_0280_carbons",
    "xep_0313_mam",
    "xep_0334_hints",
    "xep_0352_csi",
    "xep_0359_ids",
    "xep_0386_bind2",
    "xep_0388_sasl2",
    "xep_0441_mam_prefs",
)
MAM, CARBONS, CSI = "urn:xmpp:mam:2", "urn:xmpp:carbons:2", "urn:xmpp:csi:0"
ENABLE = f"<enable xmlns='{SM}' resume='true'/>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(*MODULES)
    await account(world, "romeo@example.org")
    await account(world, "juliet@example.org")
    return world


def bind(*inner: str, tag: str | None = None) -> str:
    return f"<bind xmlns='{BIND2}'>{'' if tag is None else f'<tag>{tag}</tag>'}{''.join(inner)}</bind>"


def bound_of(success: Element) -> Element:
    found = success.find(f"{BIND2} bound")
    assert found is not None
    return found


async def name_of(world: World, tag: str | None = None, agent: str = AGENT, user: str = "romeo") -> str:
    """Return the resource that such a client gets; it goes away at once."""
    client, success = await login(world, bind(tag=tag), agent=agent, user=user)
    await client.close()
    return identifier(success).partition("/")[2]


def resume(previd: str, h: int) -> str:
    return f"<resume xmlns='{SM}' previd='{previd}' h='{h}'/>"


async def resumable(world: World) -> tuple[Client, str]:
    """Return a client that is available and can be resumed, and its id."""
    client, success = await login(world, bind(ENABLE))
    enabled = bound_of(success).find(f"{SM} enabled")
    assert enabled is not None and enabled.get("resume") == "true"
    await answers(client, "<presence/>")
    return client, enabled.get("id") or ""


async def say(world: World, body: str) -> None:
    """Have juliet send romeo a message."""
    juliet, _ = await login(world, user="juliet", agent="")
    await juliet.send(f"<message type='chat' to='romeo@example.org'><body>{body}</body></message>")
    await juliet.close()


def bodies(events: list[object]) -> list[str]:
    found = [event.element("jabber:client body") for event in events if isinstance(event, Message)]
    return [body.text for body in found if body is not None]


# offering


async def test_features_that_can_be_asked_for_are_offered(world: World) -> None:
    client = knock(world)
    assert client.features is not None
    inline = client.features.find(f"{SASL2} authentication").find(f"{SASL2} inline")  # type: ignore[union-attr]
    assert inline is not None and inline.find(f"{SM} sm") is not None
    features = inline.find(f"{BIND2} bind").find(f"{BIND2} inline")  # type: ignore[union-attr]
    assert features is not None
    assert {el.get("var") for el in features.elements()} == {SM, CARBONS, CSI}


async def test_alone_it_offers_nothing_beside_itself(make_world: MakeWorld) -> None:
    world = await make_world("xep_0386_bind2", "xep_0388_sasl2")
    client = knock(world)
    assert client.features is not None
    inline = client.features.find(f"{SASL2} authentication").find(f"{SASL2} inline")  # type: ignore[union-attr]
    assert inline is not None and inline.elements() == (Element(f"{BIND2} bind"),)


# binding


async def test_success_names_the_full_jid_and_features_no_longer_offer_binding(world: World) -> None:
    client = knock(world)
    found = await answers(client, authenticate("PLAIN", plain(), bind(tag="Gajim")))
    arrived(client)
    assert identifier(success_of(found)) == client.jid and client.jid.startswith("romeo@example.org/Gajim/")
    assert found[1].name == "features" and found[1].find("urn:ietf:params:xml:ns:xmpp-bind bind") is None
    assert len(found) == 2


async def test_stanzas_sent_together_with_the_login_are_answered(world: World) -> None:
    client = knock(world)
    ping = "<iq type='get' id='p' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>"
    found = await answers(client, authenticate("PLAIN", plain(), bind()) + ping)
    assert found[2].type == "result" and found[2].to == arrived(client).jid


async def test_without_bind_nothing_is_bound(world: World) -> None:
    client, success = await login(world, "")
    assert client.resource is None and identifier(success) == "romeo@example.org"


async def test_same_installation_gets_the_same_resource_again(world: World) -> None:
    first = await name_of(world, "Gajim")
    assert first == await name_of(world, "Gajim")
    others = {
        await name_of(world, "Dino"),
        await name_of(world, "Gajim", OTHER_AGENT),
        await name_of(world, None),
        await name_of(world, "Gajim", user="juliet"),
    }
    assert first not in others and len(others) == 4


async def test_resource_stays_the_same_over_a_restart(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES)
    await account(world, "romeo@example.org")
    again = await make_world(*MODULES, backend=world.shared.backend)
    assert await name_of(world) == await name_of(again)


async def test_resource_does_not_show_the_installations_id(world: World) -> None:
    name = await name_of(world, "Gajim")
    assert not any(part in name for part in AGENT.split("-")) and AGENT.replace("-", "") not in name


async def test_client_without_an_id_gets_a_new_resource_each_time(world: World) -> None:
    names = {await name_of(world, "Gajim", agent="") for _ in range(3)}
    assert len(names) == 3 and all(name.startswith("Gajim/") and len(name) > 16 for name in names)


@pytest.mark.parametrize("tag", ["", " ", "x" * 1100, "\u0378", "ä" * 600])
async def test_tag_that_cannot_stand_in_a_resource_is_left_out(world: World, tag: str) -> None:
    name = await name_of(world, tag)
    assert "/" not in name and name


async def test_earlier_session_of_the_same_installation_ends(world: World) -> None:
    first, _ = await login(world, bind(tag="Gajim"))
    second, _ = await login(world, bind(tag="Dino"))
    other, _ = await login(world, bind(tag="Gajim"), agent=OTHER_AGENT)
    nameless, _ = await login(world, bind(tag="Gajim"), agent="")
    assert ended_with(first) == "conflict"
    assert [client.stream.is_connected for client in (second, other, nameless)] == [True] * 3
    resources = world.host().accounts[second.jid.bare].resources
    assert {second.jid.resourcepart, other.jid.resourcepart, nameless.jid.resourcepart} == set(resources)


async def test_same_installation_of_another_account_goes_on(world: World) -> None:
    romeo, _ = await login(world)
    juliet, _ = await login(world, user="juliet")
    assert romeo.stream.is_connected and juliet.stream.is_connected


async def test_too_many_resources_fail_the_login(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES, settings={"c2s.max_resources_per_account": 1})
    await account(world, "romeo@example.org")
    await login(world, agent="")
    client = knock(world)
    assert failure_of(await answers(client, authenticate("PLAIN", plain(), bind()))) == "temporary-auth-failure"
    assert client.stream.resource is None and client.stream.jid is None


async def test_account_removed_during_the_login_gets_no_resource(world: World) -> None:
    store = world.host().account_store
    records = [await store.get("romeo@example.org")]

    class Once:
        async def get(self, jid: str) -> object:
            return records.pop() if records else None

    world.host().account_store = Once()  # type: ignore[assignment]
    client = knock(world)
    assert failure_of(await answers(client, authenticate("PLAIN", plain(), bind()))) == "temporary-auth-failure"


async def test_client_that_goes_away_while_it_is_bound_leaves_no_resource(world: World) -> None:
    client = knock(world)
    client.stream.receive(authenticate("PLAIN", plain(), bind(ENABLE)).encode())
    await client.disconnect()
    while client.stream.is_busy:
        await world.settle()
    await world.settle()
    loaded = world.host().accounts.get(JID.parse("romeo@example.org"))
    assert loaded is None or not loaded.resources


# what comes with it


async def test_stream_management_is_enabled(world: World) -> None:
    client, success = await login(world, bind(ENABLE))
    assert [el.name for el in bound_of(success).elements()] == ["metadata", "enabled"]
    assert client.stream.resource is not None and client.stream.resource.acks is not None
    found = await answers(client, f"<presence/><r xmlns='{SM}'/>")
    assert Element(f"{SM} a", {"h": "1"}) in found


async def test_carbons_are_enabled(world: World) -> None:
    phone, _ = await login(world, bind(f"<enable xmlns='{CARBONS}'/>"))
    desktop, _ = await login(world, bind(), agent=OTHER_AGENT)
    await desktop.send("<message type='chat' to='juliet@example.org'><body>hi</body></message>")
    assert [event.tags for event in await answers(phone)] == [(f"{CARBONS} sent",)]


async def test_session_begins_inactive_where_the_client_says_so(world: World) -> None:
    phone, _ = await login(world, bind(f"<inactive xmlns='{CSI}'/>"))
    await answers(phone, "<presence/>")
    other, _ = await login(world, bind(), agent=OTHER_AGENT)
    await other.send("<presence/>")
    assert await answers(phone) == []
    assert len(await answers(phone, f"<active xmlns='{CSI}'/>")) >= 1


@pytest.mark.parametrize("state", ["", f"<active xmlns='{CSI}'/>"])
async def test_session_begins_active_otherwise(world: World, state: str) -> None:
    phone, _ = await login(world, bind(state))
    await answers(phone, "<presence/>")
    other, _ = await login(world, bind(), agent=OTHER_AGENT)
    await other.send("<presence/>")
    assert len(await answers(phone)) >= 1


async def test_unknown_features_are_ignored(world: World) -> None:
    _, success = await login(world, bind("<enable xmlns='urn:example:unknown'/>"))
    assert [el.name for el in bound_of(success).elements()] == ["metadata"]


# the history


async def test_history_is_described(world: World) -> None:
    _, success = await login(world)
    assert bound_of(success).elements() == (Element(f"{MAM} metadata"),)
    await say(world, "one")
    await say(world, "two")
    _, success = await login(world)
    metadata = bound_of(success).find(f"{MAM} metadata")
    assert metadata is not None
    start, end = metadata.elements()
    assert (start.name, end.name) == ("start", "end") and start.get("id") != end.get("id")
    assert end.get("timestamp", "").startswith("2026-01-02T03:04:05")  # type: ignore[union-attr]


async def test_where_there_is_no_history_nothing_is_said_of_it_and_what_waits_is_sent(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES, settings={"archive.enabled": False})
    await account(world, "romeo@example.org")
    await account(world, "juliet@example.org")
    await say(world, "soft")
    client, success = await login(world)
    assert bound_of(success).elements() == ()
    assert bodies(await answers(client, "<presence/>")) == ["soft"]


async def test_messages_that_wait_are_left_to_the_history(world: World) -> None:
    await say(world, "soft")
    client, _ = await login(world)
    assert bodies(await answers(client, "<presence/>")) == []
    found = await answers(client, f"<iq type='set' id='q'><query xmlns='{MAM}'/></iq>")
    assert [event.tags for event in found if isinstance(event, Message)] == [(f"{MAM} result",)]
    await client.close()
    old, _ = await login(world, "<x xmlns='urn:x'/>")
    await old.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    assert bodies(await answers(old, "<presence/>")) == []  # they are cleared for everybody


async def test_message_that_stands_in_no_history_is_sent_all_the_same(world: World) -> None:
    other = "<prefs xmlns='urn:xmpp:mam:2' default='never'><always/><never/></prefs>"
    client, _ = await login(world)
    await client.send(f"<iq type='set' id='n'>{other}</iq>")
    await client.close()
    await say(world, "soft")
    client, _ = await login(world)
    assert bodies(await answers(client, "<presence/>")) == ["soft"]


async def test_message_that_came_after_binding_is_sent(world: World) -> None:
    await say(world, "before")
    client, _ = await login(world)
    await say(world, "after")
    assert bodies(await answers(client, "<presence/>")) == ["after"]


# resuming


async def test_resuming_within_the_login_comes_before_binding(world: World) -> None:
    client, previd = await resumable(world)
    await client.disconnect()
    await say(world, "meanwhile")
    again = knock(world)
    found = await answers(again, authenticate("PLAIN", plain(), resume(previd, 1) + bind(ENABLE)))
    success = success_of(found)
    assert [el.name for el in success.elements()] == ["authorization-identifier", "resumed"]
    assert identifier(success) == client.jid and again.stream.resource is client.resource
    assert success.find(f"{SM} resumed") == Element(f"{SM} resumed", {"previd": previd, "h": "1"})
    # the stream goes on at once: no features, but what was not acknowledged
    assert [type(event) for event in found[1:]] == [Message, Element] and bodies(found) == ["meanwhile"]
    assert found[2].tag == f"{SM} r"


async def test_where_resuming_fails_a_new_resource_is_bound(world: World) -> None:
    client = knock(world)
    found = await answers(client, authenticate("PLAIN", plain(), resume("gone", 0) + bind(ENABLE)))
    success = success_of(found)
    assert [el.name for el in success.elements()] == ["authorization-identifier", "failed", "bound"]
    assert success.find(f"{SM} failed").elements()[0].name == "item-not-found"  # type: ignore[union-attr]
    assert bound_of(success).find(f"{SM} enabled") is not None and found[1].name == "features"


async def test_where_resuming_fails_and_no_bind_was_asked_for_the_old_way_is_open(world: World) -> None:
    client, success = await login(world, resume("gone", 0))
    assert [el.name for el in success.elements()] == ["authorization-identifier", "failed"]
    await client.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    assert client.stream.resource is not None


async def test_session_of_another_account_is_not_resumed(world: World) -> None:
    client, previd = await resumable(world)
    await client.disconnect()
    _, success = await login(world, resume(previd, 0), user="juliet", agent=OTHER_AGENT)
    assert success.find(f"{SM} failed") is not None and success.find(f"{SM} resumed") is None
    assert client.resource is not None and not client.resource.is_ended


async def test_nothing_is_resumed_for_a_wrong_password(world: World) -> None:
    client, previd = await resumable(world)
    await client.disconnect()
    again = knock(world)
    wrong = authenticate("PLAIN", plain(password="pen"), resume(previd, 1))
    assert failure_of(await answers(again, wrong)) == "not-authorized"
    assert client.resource is not None and client.resource.stream is None


async def test_acknowledging_too_much_ends_the_stream(world: World) -> None:
    client, previd = await resumable(world)
    await client.disconnect()
    again = knock(world)
    await again.send(authenticate("PLAIN", plain(), resume(previd, 77) + bind()))
    assert ended_with(again) == "undefined-condition"
    assert again.stream.resource is None


@pytest.mark.parametrize("with_resume", [True, False])
async def test_client_that_goes_away_during_the_login_keeps_what_it_could_resume(
    world: World, with_resume: bool
) -> None:
    client, previd = await resumable(world)
    await client.disconnect()
    again = knock(world)

    async def cut(event: AuthenticatedEvent) -> AuthenticatedEvent:
        again.connection.is_closing = True
        again.stream.lost()
        return event

    handlers = world.host().handlers
    handlers[sasl2_authenticated] = (cut, *handlers[sasl2_authenticated])
    await again.send(authenticate("PLAIN", plain(), (resume(previd, 1) if with_resume else "") + bind()))
    assert client.resource is not None and not client.resource.is_ended
    assert list(client.resource.account.resources.values()) == [client.resource]
    handlers[sasl2_authenticated] = handlers[sasl2_authenticated][1:]
    _, success = await login(world, resume(previd, 1))
    assert success.find(f"{SM} resumed") is not None


async def test_connection_that_still_stands_is_closed_when_its_session_is_resumed(world: World) -> None:
    client, previd = await resumable(world)
    again, success = await login(world, resume(previd, 1))
    assert success.find(f"{SM} resumed") is not None and ended_with(client) == "conflict"
    assert again.resource is client.resource


async def test_new_session_of_an_installation_takes_over_what_its_lost_one_had_not_got(world: World) -> None:
    client, _ = await resumable(world)
    await client.disconnect()
    await say(world, "unseen")
    again, _ = await login(world)
    assert client.resource is not None and client.resource.is_ended
    found = await answers(again, "<presence/>", f"<iq type='set' id='q'><query xmlns='{MAM}'/></iq>")
    assert [event.tags for event in found if isinstance(event, Message)] == [(f"{MAM} result",)]
