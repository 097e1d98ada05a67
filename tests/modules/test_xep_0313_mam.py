"""XEP-0313: Message Archive Management."""

from typing import Any

import pytest

from codec.element import Element
from codec.stanza import Message
from storage.interface import ArchiveCopy, Commit, StorageFull
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.chat import MAM, MESSAGES, Phone, Timers, bodies, chat, condition, origin, stanza_id
from tests.support.world import World
from xmppd.modules.xep_0313_mam import ArchiveModule

ROMEO, JULIET = "romeo@example.org/orchard", "juliet@example.org/balcony"
RSM = "http://jabber.org/protocol/rsm"
HEADLINE = "<message to='{}' type='headline'><body>x</body></message>"
GROUPCHAT = "<message to='{}' type='groupchat'><body>x</body></message>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world("xep_0030_disco", *MESSAGES)


async def pair(world: World) -> tuple[Phone, Phone]:
    romeo, juliet = await Phone.login(world, ROMEO), await Phone.login(world, JULIET)
    romeo.received.clear()
    juliet.received.clear()
    return romeo, juliet


def query_xml(fields: dict[str, Any] | None = None, rsm: str = "", more: str = "", to: str = "", id_: str = "q") -> str:
    form = ""
    if fields:
        inner = f"<field var='FORM_TYPE' type='hidden'><value>{MAM}</value></field>"
        for name, value in fields.items():
            values = value if isinstance(value, list) else [value]
            inner += f"<field var='{name}'>{''.join(f'<value>{item}</value>' for item in values)}</field>"
        form = f"<x xmlns='jabber:x:data' type='submit'>{inner}</x>"
    paging = f"<set xmlns='{RSM}'>{rsm}</set>" if rsm else ""
    to_attr = f" to='{to}'" if to else ""
    return f"<iq type='set' id='{id_}'{to_attr}><query xmlns='{MAM}' queryid='7'>{form}{paging}{more}</query></iq>"


class Answer:
    """What came of a query: `reply` and the results before it."""

    def __init__(self, stanzas: list[Any]) -> None:
        self.reply = stanzas[-1]
        self.results = [stanza.element(f"{MAM} result") for stanza in stanzas[:-1]]
        assert all(isinstance(stanza, Message) for stanza in stanzas[:-1])

    @property
    def messages(self) -> list[Element]:
        return [result.elements()[0].elements()[1] for result in self.results]

    @property
    def bodies(self) -> list[str]:
        return [message.find("jabber:client body").text for message in self.messages]  # type: ignore[union-attr]

    @property
    def ids(self) -> list[str]:
        return [result.get("id") for result in self.results]

    @property
    def fin(self) -> Element:
        assert self.reply.type == "result", self.reply.to_xml()
        fin: Element = self.reply.element(f"{MAM} fin")
        return fin

    @property
    def is_complete(self) -> bool:
        return self.fin.get("complete") == "true"

    @property
    def rsm(self) -> dict[str, str]:
        return {child.name: child.text for child in self.fin.elements()[0].elements()}


async def ask(phone: Phone, *args: Any, **more: Any) -> Answer:
    phone.take()
    return Answer(await phone.send(query_xml(*args, **more)))


async def five(world: World) -> tuple[Phone, Phone, list[str]]:
    """Let juliet have five messages of romeo's, a second apart; return both and the ids."""
    romeo, juliet = await pair(world)
    for count in range(5):
        await romeo.send(chat(juliet, str(count)))
        world.clock.advance(1)
    messages = await juliet.messages()
    return romeo, juliet, [stanza_id(message, "juliet@example.org") or "" for message in messages]


class Spy:
    """Notes what is appended to the archive."""

    def __init__(self, world: World) -> None:
        self.appended: list[tuple[int, bytes, list[ArchiveCopy]]] = []
        archive = world.shared.backend.archive
        self._real = archive.append
        archive.append = self._append  # type: ignore[method-assign]

    def _append(self, id_: int, stanza: bytes, copies: Any) -> Commit:
        self.appended.append((id_, stanza, list(copies)))
        return self._real(id_, stanza, copies)

    @property
    def copies(self) -> dict[str, ArchiveCopy]:
        """The copies of the one message that was appended, by owner."""
        [(_, _, copies)] = self.appended
        return {copy.owner: copy for copy in copies}


# keeping


async def test_a_message_is_written_once_for_both_sides(world: World) -> None:
    romeo, juliet = await pair(world)
    spy = Spy(world)
    await romeo.send(chat(juliet, "one"))
    assert spy.copies == {
        "romeo@example.org": ArchiveCopy("romeo@example.org", "juliet@example.org", "balcony", outgoing=True),
        "juliet@example.org": ArchiveCopy("juliet@example.org", "romeo@example.org", "orchard", pending=True),
    }


async def test_what_is_kept_is_what_was_sent_with_its_from(world: World) -> None:
    romeo, juliet = await pair(world)
    more = "<x xmlns='urn:example:x' a='&lt;'><y/></x>"
    await romeo.send(chat("juliet@example.org", "a &amp; b", more, id_="m1"))
    [message] = (await ask(juliet)).messages
    assert (message.get("from"), message.get("to"), message.get("id")) == (ROMEO, "juliet@example.org", "m1")
    assert message.find("urn:example:x x") is not None
    assert message.find("urn:xmpp:sid:0 stanza-id") is None


async def test_a_message_for_several_resources_is_kept_once(world: World) -> None:
    romeo, juliet = await pair(world)
    await Phone.login(world, "juliet@example.org/chamber")
    await romeo.send(chat("juliet@example.org", "one"))
    juliet.received.clear()
    assert (await ask(juliet)).bodies == ["one"]


async def test_a_message_to_oneself_is_kept_once_and_found_under_ones_own_jid(world: World) -> None:
    romeo, juliet = await pair(world)
    spy = Spy(world)
    await romeo.send(chat("romeo@example.org", "note", origin("o")))
    assert list(spy.copies) == ["romeo@example.org"]
    await romeo.send(chat(juliet, "two"))
    romeo.received.clear()
    assert (await ask(romeo, {"with": "romeo@example.org"})).bodies == ["note"]
    await romeo.send(chat("romeo@example.org", "note", origin("o")))
    assert len(spy.appended) == 2, "its retry is recognised"


async def test_a_message_without_to_is_one_to_oneself(world: World) -> None:
    romeo, _ = await pair(world)
    await romeo.send("<message type='chat'><body>note</body></message>")
    assert bodies(await romeo.messages()) == ["note"]
    assert (await ask(romeo, {"with": "romeo@example.org"})).bodies == ["note"]


@pytest.mark.parametrize("xml", [HEADLINE, GROUPCHAT])
async def test_headlines_and_groupchat_are_not_kept(world: World, xml: str) -> None:
    romeo, juliet = await pair(world)
    await romeo.send(xml.format(juliet))
    assert len(await juliet.messages()) == 1
    for phone in (romeo, juliet):
        assert (await ask(phone)).results == []


@pytest.mark.parametrize(("prefs_of", "keeps"), [("romeo", "juliet"), ("juliet", "romeo")])
async def test_who_wants_no_history_has_none_and_the_other_has(world: World, prefs_of: str, keeps: str) -> None:
    romeo, juliet = await pair(world)
    phones = {"romeo": romeo, "juliet": juliet}
    await phones[prefs_of].send("<iq type='set' id='p'><prefs xmlns='urn:xmpp:mam:2' default='never'/></iq>")
    spy = Spy(world)
    await romeo.send(chat(juliet, "one"))
    assert list(spy.copies) == [f"{keeps}@example.org"]
    [message] = await juliet.messages()
    assert (stanza_id(message, "juliet@example.org") is None) == (prefs_of == "juliet"), "no id where no history is"
    assert (await ask(phones[keeps])).bodies == ["one"]
    assert (await ask(phones[prefs_of])).results == []


async def test_somebody_absent_without_a_history_gets_a_copy_that_no_query_shows(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    juliet = await Phone.login(world, JULIET)
    await juliet.send("<iq type='set' id='p'><prefs xmlns='urn:xmpp:mam:2' default='never'/></iq>")
    await juliet.client.close()
    spy = Spy(world)
    await romeo.send(chat("juliet@example.org", "one"))
    copy = spy.copies["juliet@example.org"]
    assert copy.pending and not copy.visible
    again = await Phone.login(world, JULIET, presence=None)
    assert (await ask(again)).results == []
    await again.send("<presence/>")
    assert bodies(await again.messages()) == ["one"]


async def test_without_archives_only_what_finds_nobody_is_written(make_world: MakeWorld) -> None:
    world = await make_world(*MESSAGES, settings={"archive.enabled": False})
    romeo, juliet = await pair(world)
    await world.account("nurse@example.org")
    spy = Spy(world)
    await romeo.send(chat(juliet, "one", origin("o")))
    assert spy.appended == []
    await romeo.send(chat("nurse@example.org", "two"))
    assert list(spy.copies) == ["nurse@example.org"]


async def test_without_archives_they_are_not_offered(make_world: MakeWorld) -> None:
    disco = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    for enabled in (True, False):
        world = await make_world("xep_0030_disco", *MESSAGES, settings={"archive.enabled": enabled})
        romeo = await Phone.login(world, ROMEO)
        romeo.take()
        [reply] = await romeo.send(f"<iq type='get' id='d' to='romeo@example.org'>{disco}</iq>")
        found = {feature.get("var") for feature in reply.elements()[0].elements()}
        assert found.issuperset({MAM, f"{MAM}#extended", f"{MAM}#groupchat-field"}) == enabled


async def test_a_message_that_the_recipients_server_refuses_is_not_in_the_recipients_history(world: World) -> None:
    romeo, juliet = await pair(world)
    romeo.take()
    [reply] = await romeo.send(chat("juliet@example.org/gone", "one", type_="normal"))
    assert condition(reply) == "service-unavailable"
    assert (await ask(juliet)).results == []


async def test_a_full_storage_refuses_a_message_before_it_is_delivered(world: World) -> None:
    romeo, juliet = await pair(world)
    backend = world.shared.backend
    assert isinstance(backend, MemoryBackend)
    backend.fail_with(StorageFull("no room"), at_call=True)
    [reply] = await romeo.send(chat(juliet, "one", id_="m"))
    assert condition(reply) == "resource-constraint" and reply.id == "m"
    assert await juliet.messages() == []
    state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
    await romeo.send(f"<message to='{juliet}' type='chat'>{state}</message>")
    assert len(await juliet.messages()) == 1, "what is not kept needs no room"
    backend.fail_with(None)
    await romeo.send(chat(juliet, "two"))
    assert bodies(await juliet.messages()) == ["two"]


async def test_a_full_storage_refuses_messages_of_other_origin_too(world: World) -> None:
    _, juliet = await pair(world)
    backend = world.shared.backend
    assert isinstance(backend, MemoryBackend)
    backend.fail_with(StorageFull("no room"), at_call=True)
    message = Message.build(Element("jabber:client body", {}, ("x",)), to=juliet.jid, from_=world.host().domain)
    await world.host().send(message)
    assert await juliet.messages() == []


async def test_without_archives_a_full_storage_stops_nobody_who_is_there(make_world: MakeWorld) -> None:
    world = await make_world(*MESSAGES, settings={"archive.enabled": False})
    romeo, juliet = await pair(world)
    await world.account("nurse@example.org")
    backend = world.shared.backend
    assert isinstance(backend, MemoryBackend)
    backend.fail_with(StorageFull("no room"), at_call=True)
    await romeo.send(chat(juliet, "one"))
    assert bodies(await juliet.messages()) == ["one"]
    [reply] = [stanza for stanza in await romeo.send(chat("nurse@example.org", "two")) if isinstance(stanza, Message)]
    assert condition(reply) == "resource-constraint"


async def test_what_is_too_old_is_forgotten_from_time_to_time(make_world: MakeWorld) -> None:
    world = await make_world(*MESSAGES, settings={"archive.expire_days": 10})
    timers = Timers(world)
    romeo, juliet = await pair(world)
    await romeo.send(chat(juliet, "old"))
    await timers.advance(9 * 86_400)
    await romeo.send(chat(juliet, "new"))
    juliet.received.clear()
    await world.host().module(ArchiveModule).start()
    await timers.advance(3_600)
    assert (await ask(juliet)).bodies == ["old", "new"]
    await timers.advance(86_400)
    assert (await ask(juliet)).bodies == ["new"]


# reading


async def test_results_come_in_order_with_the_query_id_then_the_end(world: World) -> None:
    _, juliet, ids = await five(world)
    answer = await ask(juliet)
    assert answer.bodies == ["0", "1", "2", "3", "4"] and answer.ids == ids
    assert all(result.get("queryid") == "7" for result in answer.results)
    stamps = [result.elements()[0].elements()[0].get("stamp") for result in answer.results]
    assert stamps == [f"2026-01-02T03:04:{second:02}Z" for second in range(5, 10)]
    assert answer.is_complete and answer.rsm == {"first": ids[0], "last": ids[-1]}


async def test_results_are_from_the_archive_to_the_asking_resource(world: World) -> None:
    _, juliet, _ = await five(world)
    juliet.take()
    result = (await juliet.send(query_xml(to="juliet@example.org")))[0]
    assert (result.from_, result.to) == ("juliet@example.org", JULIET)


async def test_one_pages_forward(world: World) -> None:
    _, juliet, ids = await five(world)
    first = await ask(juliet, rsm="<max>2</max>")
    assert first.ids == ids[:2] and not first.is_complete
    second = await ask(juliet, rsm=f"<max>2</max><after>{first.rsm['last']}</after>")
    assert second.ids == ids[2:4] and not second.is_complete
    third = await ask(juliet, rsm=f"<max>2</max><after>{second.rsm['last']}</after>")
    assert third.ids == ids[4:] and third.is_complete
    behind = await ask(juliet, rsm=f"<max>2</max><after>{third.rsm['last']}</after>")
    assert behind.ids == [] and behind.is_complete and behind.rsm == {}


async def test_one_pages_back(world: World) -> None:
    _, juliet, ids = await five(world)
    last = await ask(juliet, rsm="<max>2</max><before/>")
    assert last.ids == ids[3:] and not last.is_complete
    middle = await ask(juliet, rsm=f"<max>2</max><before>{last.rsm['first']}</before>")
    assert middle.ids == ids[1:3] and not middle.is_complete
    first = await ask(juliet, rsm=f"<max>2</max><before>{middle.rsm['first']}</before>")
    assert first.ids == ids[:1] and first.is_complete


async def test_a_flipped_page_is_the_same_page_backwards(world: World) -> None:
    _, juliet, ids = await five(world)
    answer = await ask(juliet, rsm=f"<max>2</max><after>{ids[0]}</after>", more="<flip-page/>")
    assert answer.ids == [ids[2], ids[1]]
    assert answer.rsm == {"first": ids[1], "last": ids[2]}


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"start": "2026-01-02T03:04:07Z"}, "234"),
        ({"end": "2026-01-02T03:04:07Z"}, "012"),
        ({"start": "2026-01-02T03:04:06Z", "end": "2026-01-02T03:04:07Z"}, "12"),
        ({"start": "2026-01-02T03:04:06.5Z", "end": "2026-01-02T04:04:07+01:00"}, "2"),
        ({"start": "2030-01-01T00:00:00Z"}, ""),
        ({"end": "1960-01-01T00:00:00Z"}, ""),
        ({"start": "9999-01-01T00:00:00Z"}, ""),
        ({"with": "romeo@example.org"}, "01234"),
        ({"with": "romeo@example.org/orchard"}, "01234"),
        ({"with": "romeo@example.org/street"}, ""),
        ({"with": "nurse@example.org"}, ""),
        ({"with": "juliet@example.org"}, ""),
        ({"after-id": "{1}"}, "234"),
        ({"before-id": "{1}"}, "0"),
        ({"after-id": "{0}", "before-id": "{3}"}, "12"),
        ({"ids": ["{3}", "{1}"]}, "13"),
    ],
)
async def test_each_field_selects(world: World, fields: dict[str, Any], found: str) -> None:
    _, juliet, ids = await five(world)
    filled = {
        name: [item.format(*ids) for item in value] if isinstance(value, list) else value.format(*ids)
        for name, value in fields.items()
    }
    answer = await ask(juliet, filled)
    assert "".join(answer.bodies) == found and answer.is_complete


async def test_fields_and_paging_go_together(world: World) -> None:
    _, juliet, ids = await five(world)
    fields = {"with": "romeo@example.org", "after-id": ids[0]}
    first = await ask(juliet, fields, rsm="<max>2</max>")
    assert first.ids == ids[1:3]
    second = await ask(juliet, fields, rsm=f"<max>2</max><after>{ids[2]}</after>")
    assert second.ids == ids[3:] and second.is_complete


@pytest.mark.parametrize(
    ("fields", "rsm"),
    [
        ({"before-id": "1"}, ""),
        ({"after-id": "nonsense"}, ""),
        ({"ids": ["{0}", "12345"]}, ""),
        ({}, "<after>12345</after>"),
        ({}, "<before>nonsense</before>"),
    ],
)
async def test_an_id_that_the_history_does_not_hold_is_not_found(
    world: World, fields: dict[str, Any], rsm: str
) -> None:
    _, juliet, ids = await five(world)
    filled = {
        name: [v.format(*ids) for v in value] if isinstance(value, list) else value for name, value in fields.items()
    }
    answer = await ask(juliet, filled, rsm=rsm)
    assert condition(answer.reply) == "item-not-found" and answer.results == []


async def test_an_id_in_anothers_history_is_not_found(world: World) -> None:
    romeo, juliet = await pair(world)
    await world.account("nurse@example.org")
    await romeo.send(chat("nurse@example.org", "between us"))
    bounds = await world.shared.backend.archive.bounds("nurse@example.org")
    assert bounds is not None
    assert condition((await ask(juliet, {"ids": [str(bounds[0])]})).reply) == "item-not-found"


async def test_the_id_of_a_message_that_is_not_committed_yet_can_be_asked_for(world: World) -> None:
    romeo, juliet = await pair(world)
    await romeo.send(chat(juliet, "zero"))
    backend = world.shared.backend
    assert isinstance(backend, MemoryBackend)
    backend.hold()
    await romeo.send(chat(juliet, "one"))
    [_, message] = await juliet.messages()
    id_ = stanza_id(message, "juliet@example.org")
    juliet.push(query_xml(rsm=f"<after>{id_}</after>"))
    await world.settle()
    assert juliet.take() == []
    backend.release()
    await world.settle()
    assert juliet.take()[-1].type == "result"


async def test_the_count_alone_can_be_asked_for(world: World) -> None:
    _, juliet, _ = await five(world)
    answer = await ask(juliet, {"with": "romeo@example.org"}, rsm="<max>0</max>")
    assert answer.results == [] and answer.rsm == {"count": "5"} and not answer.is_complete


async def test_pages_never_show_another_accounts_messages(world: World) -> None:
    romeo, juliet = await pair(world)
    nurse = await Phone.login(world, "nurse@example.org/kitchen")
    for count in range(3):
        await romeo.send(chat(juliet, f"to juliet {count}"), chat(nurse, f"to nurse {count}"))
    await juliet.messages()
    await nurse.messages()
    assert (await ask(juliet)).bodies == [f"to juliet {count}" for count in range(3)]
    assert (await ask(nurse)).bodies == [f"to nurse {count}" for count in range(3)]
    nurse_ids = (await ask(nurse)).ids
    between = await ask(juliet, {"start": "2026-01-01T00:00:00Z"}, rsm="<before/>")
    assert not set(between.ids) & set(nurse_ids)


@pytest.mark.parametrize(
    "xml",
    [
        query_xml(to="juliet@example.org"),
        f"<iq type='get' id='q' to='juliet@example.org'><query xmlns='{MAM}'/></iq>",
        f"<iq type='get' id='q' to='juliet@example.org'><metadata xmlns='{MAM}'/></iq>",
        f"<iq type='get' id='q' to='juliet@example.org'><prefs xmlns='{MAM}'/></iq>",
    ],
)
async def test_nobody_reads_anothers_history(world: World, xml: str) -> None:
    romeo, _, _ = await five(world)
    romeo.take()
    [reply] = await romeo.send(xml)
    assert condition(reply) == "service-unavailable"


async def test_the_form_can_be_asked_for(world: World) -> None:
    romeo, _ = await pair(world)
    [reply] = await romeo.send(f"<iq type='get' id='f'><query xmlns='{MAM}'/></iq>")
    form = reply.elements()[0].find("jabber:x:data x")
    assert {"with", "start", "end", "before-id", "after-id", "ids"} <= {field.get("var") for field in form.elements()}


async def test_metadata_names_first_and_last(world: World) -> None:
    _, juliet, ids = await five(world)
    [reply] = await juliet.send(f"<iq type='get' id='m'><metadata xmlns='{MAM}'/></iq>")
    start, end = reply.elements()[0].elements()
    assert (start.name, start.get("id"), start.get("timestamp")) == ("start", ids[0], "2026-01-02T03:04:05Z")
    assert (end.name, end.get("id"), end.get("timestamp")) == ("end", ids[-1], "2026-01-02T03:04:09Z")


async def test_metadata_of_an_empty_history_is_empty(world: World) -> None:
    romeo, _ = await pair(world)
    [reply] = await romeo.send(f"<iq type='get' id='m'><metadata xmlns='{MAM}'/></iq>")
    assert reply.elements() == (Element(f"{MAM} metadata"),)
