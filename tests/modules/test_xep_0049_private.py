"""XEP-0049: Private XML Storage."""

import pytest

from codec.element import Element
from storage.interface import Commit, StorageFull
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, World
from xmppd.hooks import PrivateEvent, private_given, private_kept
from xmppd.modules import xep_0049_private
from xmppd.modules.xep_0049_private import PrivateModule

NOTES = "<notes xmlns='urn:example:notes'><note n='1'>Milk</note></notes>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world("xep_0049_private", settings={"limits.private_elements": 3})


@pytest.fixture
async def romeo(world: World) -> Client:
    return await world.client("romeo@example.org/orchard")


async def put(client: Client, xml: str) -> str:
    """Store and return "" or the condition of the error."""
    await client.send(f"<iq type='set' id='s'><query xmlns='jabber:iq:private'>{xml}</query></iq>")
    return condition(await client.next_stanza())


async def get(client: Client, xml: str) -> str:
    """Ask and return what is in the answer's query, or the condition of the error."""
    await client.send(f"<iq type='get' id='g'><query xmlns='jabber:iq:private'>{xml}</query></iq>")
    answer = await client.next_stanza()
    if answer.type == "error":
        return condition(answer)
    query = answer.element("jabber:iq:private query")
    return "".join(child.to_xml().decode() for child in query.elements())


def condition(answer: object) -> str:
    error = answer.element("jabber:client error")  # type: ignore[attr-defined]
    return "" if error is None else str(error.elements()[0].name)


async def test_element_comes_back_as_it_was_stored(romeo: Client) -> None:
    assert await put(romeo, NOTES) == ""
    assert await get(romeo, "<notes xmlns='urn:example:notes'/>") == NOTES


async def test_element_that_was_never_stored_comes_back_empty(romeo: Client) -> None:
    assert await get(romeo, "<notes xmlns='urn:example:notes'/>") == "<notes xmlns='urn:example:notes'/>"


async def test_another_client_of_the_account_gets_it_and_another_account_does_not(world: World, romeo: Client) -> None:
    await put(romeo, NOTES)
    garden = await world.client("romeo@example.org/garden")
    juliet = await world.client("juliet@example.org/balcony")
    assert await get(garden, "<notes xmlns='urn:example:notes'/>") == NOTES
    assert await get(juliet, "<notes xmlns='urn:example:notes'/>") == "<notes xmlns='urn:example:notes'/>"


@pytest.mark.parametrize("type_", ["get", "set"])
async def test_another_account_is_refused(world: World, romeo: Client, type_: str) -> None:
    await put(romeo, NOTES)
    juliet = await world.client("juliet@example.org/balcony")
    await juliet.send(
        f"<iq type='{type_}' id='x' to='romeo@example.org'><query xmlns='jabber:iq:private'>{NOTES}</query></iq>"
    )
    assert condition(await juliet.next_stanza()) == "service-unavailable"


async def test_second_element_of_a_tag_takes_the_place_of_the_first(romeo: Client) -> None:
    await put(romeo, NOTES)
    await put(romeo, "<notes xmlns='urn:example:notes'>new</notes>")
    assert await get(romeo, "<notes xmlns='urn:example:notes'/>") == "<notes xmlns='urn:example:notes'>new</notes>"


async def test_several_elements_in_one_request_are_all_stored(romeo: Client) -> None:
    assert await put(romeo, "<a xmlns='urn:a'>1</a><b xmlns='urn:b'>2</b>") == ""
    assert await get(romeo, "<a xmlns='urn:a'/>") == "<a xmlns='urn:a'>1</a>"
    assert await get(romeo, "<b xmlns='urn:b'/>") == "<b xmlns='urn:b'>2</b>"


async def test_same_tag_twice_in_one_request_keeps_the_last(romeo: Client) -> None:
    await put(romeo, "<a xmlns='urn:a'>1</a><a xmlns='urn:a'/>")
    assert await get(romeo, "<a xmlns='urn:a'/>") == "<a xmlns='urn:a'/>"
    await put(romeo, "<a xmlns='urn:a'/><a xmlns='urn:a'>2</a>")
    assert await get(romeo, "<a xmlns='urn:a'/>") == "<a xmlns='urn:a'>2</a>"


@pytest.mark.parametrize("xml", ["", "<query/>", "<body xmlns='jabber:client'>x</body>", "<a xmlns=''>x</a>"])
async def test_element_without_a_namespace_of_its_own_is_not_acceptable(romeo: Client, xml: str) -> None:
    assert await put(romeo, xml) == "not-acceptable"
    assert await get(romeo, xml) == "not-acceptable"


async def test_question_for_two_elements_is_not_acceptable(romeo: Client) -> None:
    assert await get(romeo, "<a xmlns='urn:a'/><b xmlns='urn:b'/>") == "not-acceptable"


async def test_account_has_no_more_elements_than_the_limit_and_an_empty_one_frees_a_place(romeo: Client) -> None:
    for name in "abc":
        assert await put(romeo, f"<{name} xmlns='urn:x'>1</{name}>") == ""
    assert await put(romeo, "<d xmlns='urn:x'>1</d>") == "policy-violation"
    assert await put(romeo, "<c xmlns='urn:x'>2</c>") == ""
    assert await put(romeo, "<c xmlns='urn:x'/>") == ""
    assert await put(romeo, "<d xmlns='urn:x'>1</d>") == ""


async def test_elements_together_are_no_larger_than_the_limit(romeo: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xep_0049_private, "MAX_TOTAL_BYTES", 100)
    assert await put(romeo, f"<a xmlns='urn:x'>{'x' * 60}</a>") == ""
    assert await put(romeo, f"<b xmlns='urn:x'>{'x' * 60}</b>") == "policy-violation"
    assert await put(romeo, f"<a xmlns='urn:x'>{'y' * 60}</a>") == ""


async def test_limit_counts_what_was_stored_before_the_account_was_loaded(make_world: MakeWorld) -> None:
    backend = MemoryBackend()
    settings = {"limits.private_elements": 1}
    first = await make_world("xep_0049_private", settings=settings, backend=backend)
    assert await put(await first.client("romeo@example.org/1"), NOTES) == ""
    second = await make_world("xep_0049_private", settings=settings, backend=backend)
    assert await put(await second.client("romeo@example.org/1"), "<a xmlns='urn:a'>1</a>") == "policy-violation"


async def test_element_that_could_not_be_kept_does_not_count(
    world: World, romeo: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.host().module(PrivateModule).stores["elements"]

    def full(*_: object) -> Commit:
        commit = Commit()
        commit.finish(StorageFull("full"))
        return commit

    with monkeypatch.context() as broken:
        broken.setattr(store, "update", full)
        for name in "abc":
            assert await put(romeo, f"<{name} xmlns='urn:x'>1</{name}>") == "resource-constraint"
    assert await put(romeo, NOTES) == ""


async def test_another_module_may_hold_a_part_of_an_element(world: World, romeo: Client) -> None:
    held: list[Element] = []

    def keep(event: PrivateEvent) -> PrivateEvent:
        held.extend(event.element.elements())
        event.element = Element(event.element.tag)
        return event

    def give(event: PrivateEvent) -> PrivateEvent:
        event.element = Element(event.element.tag, {}, tuple(held))
        return event

    host = world.host()
    host.handlers[private_kept], host.handlers[private_given] = (keep,), (give,)
    assert await put(romeo, NOTES) == ""
    module = host.module(PrivateModule)
    account = host.accounts[romeo.jid.bare]
    assert await module.read(account, "urn:example:notes notes") is None
    assert await get(romeo, "<notes xmlns='urn:example:notes'/>") == NOTES


async def test_other_modules_read_and_write_what_is_kept(world: World, romeo: Client) -> None:
    module, account = world.host().module(PrivateModule), world.host().accounts[romeo.jid.bare]
    await module.write(account, Element("urn:x a", {"b": "c"}))
    assert await get(romeo, "<a xmlns='urn:x'/>") == "<a xmlns='urn:x' b='c'/>"
    assert await module.read(account, "urn:x a") == Element("urn:x a", {"b": "c"})
    await module.write(account, Element("urn:x a"))
    assert await module.read(account, "urn:x a") is None
