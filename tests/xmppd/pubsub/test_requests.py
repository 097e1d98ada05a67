"""From requests to answers: what is not asked right, and answers that are full. The rest is tested with the modules."""

import pytest

from codec.element import Element, parse_element
from codec.jid import JID
from codec.payloads.pubsub import NS, NS_OWNER, Owner, PubSub
from codec.payloads.rsm import Set
from storage.memory import MemoryBackend
from xmppd.errors import StanzaError
from xmppd.pubsub import requests
from xmppd.pubsub.access import Asker
from xmppd.pubsub.service import Place, Quotas, Service
from xmppd.pubsub.store import Nodes, NodeStore

OWNER = Asker(JID("romeo@example.org/orchard"), is_owner=True)


@pytest.fixture
async def service() -> Service:
    backend = MemoryBackend()
    await backend.open()
    numbers = iter(range(1, 1000))
    store = NodeStore(backend.map("nodes"), backend.map("items"))
    return Service(store, Quotas(1000, 10, 50), lambda: next(numbers), lambda: "token", lambda: 0.0)


@pytest.fixture
def place() -> Place:
    return Place(JID("romeo@example.org"), Nodes())


def read(inner: str) -> PubSub:
    return PubSub.from_element(parse_element(f"<pubsub xmlns='{NS}'>{inner}</pubsub>".encode()))


def read_owner(inner: str) -> Owner:
    return Owner.from_element(parse_element(f"<pubsub xmlns='{NS_OWNER}'>{inner}</pubsub>".encode()))


def names(error: StanzaError) -> str:
    return "/".join(child.name for child in error.to_element().elements() if child.name != "text")


@pytest.mark.parametrize(
    ("inner", "condition"),
    [
        ("", "bad-request"),
        ("<items node='n'/>", "bad-request"),
        ("<publish><item id='a'><p xmlns='urn:p'/></item></publish>", "bad-request/nodeid-required"),
        ("<publish node='n'/>", "bad-request/item-required"),
        ("<publish node='n'><item id='a'/></publish>", "bad-request/payload-required"),
        (
            "<publish node='n'><item><a xmlns='urn:a'/><b xmlns='urn:b'/></item></publish>",
            "bad-request/invalid-payload",
        ),
        (
            "<publish node='n'><item><a xmlns='urn:a'/></item><item><a xmlns='urn:a'/></item></publish>",
            "bad-request/invalid-payload",
        ),
        ("<retract><item id='a'/></retract>", "bad-request/nodeid-required"),
        ("<retract node='n'><item id='a'/></retract>", "item-not-found"),
        ("<subscribe jid='romeo@example.org'/>", "bad-request/nodeid-required"),
        ("<unsubscribe jid='romeo@example.org'/>", "bad-request/nodeid-required"),
        ("<options node='n'/>", "feature-not-implemented/unsupported"),
    ],
)
async def test_request_that_is_wrong_has_its_own_error(
    service: Service, place: Place, inner: str, condition: str
) -> None:
    with pytest.raises(StanzaError) as caught:
        requests.set_(service, place, OWNER, read(inner))
    assert names(caught.value) == condition
    assert place.nodes.by_name == {}


@pytest.mark.parametrize(
    ("inner", "condition"),
    [
        ("", "bad-request"),
        ("<publish node='n'/>", "bad-request"),
        ("<items/>", "bad-request/nodeid-required"),
        ("<items node='n'/>", "item-not-found"),
        ("<subscriptions node='n'/>", "item-not-found"),
        ("<options node='n'/>", "feature-not-implemented/unsupported"),
        ("<default/>", "feature-not-implemented/unsupported"),
    ],
)
async def test_question_that_is_wrong_has_its_own_error(
    service: Service, place: Place, inner: str, condition: str
) -> None:
    with pytest.raises(StanzaError) as caught:
        await requests.get(service, place, OWNER, read(inner))
    assert names(caught.value) == condition


@pytest.mark.parametrize("part", ["configure", "delete", "purge", "subscriptions", "affiliations"])
async def test_owners_request_names_a_node_that_is_there(service: Service, place: Place, part: str) -> None:
    found = []
    for node in ("", " node='n'"):
        form = "<x xmlns='jabber:x:data' type='submit'/>" if part == "configure" else ""
        with pytest.raises(StanzaError) as caught:
            requests.owner_set(service, place, OWNER, read_owner(f"<{part}{node}>{form}</{part}>"))
        found.append(names(caught.value))
    assert found == ["bad-request/nodeid-required", "item-not-found"]


@pytest.mark.parametrize("inner", ["", "<configure node='n'/>", "<default/>"])
async def test_owners_request_that_asks_for_nothing_is_a_bad_request(
    service: Service, place: Place, inner: str
) -> None:
    with pytest.raises(StanzaError) as caught:
        requests.owner_set(service, place, OWNER, read_owner(inner))
    assert names(caught.value) == "bad-request"


async def test_full_answer_says_where_the_rest_begins(
    service: Service, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "ANSWER_BYTES", 250)
    payload = Element("urn:p p", {}, ("x" * 80,))
    for number in range(5):
        service.publish(place, OWNER, "n", f"i{number}", payload, {"max_items": None})
    ids: list[str] = []
    rsm: Set | None = None
    while len(ids) < 5:
        more = "" if rsm is None else Set(after=rsm.last).to_xml("").decode()
        answer = await requests.get(service, place, OWNER, read(f"<items node='n'/>{more}"))
        assert isinstance(answer, Element)
        found = [item.get("id") or "" for item in answer.elements()[0].elements()]
        assert 0 < len(found) <= 2
        ids += found
        rsm = Set.from_element(answer.elements()[1])
    assert ids == ["i4", "i3", "i2", "i1", "i0"]


async def test_item_larger_than_an_answer_comes_alone(
    service: Service, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "ANSWER_BYTES", 10)
    service.publish(place, OWNER, "n", "i", Element("urn:p p", {}, ("x" * 80,)), {})
    answer = await requests.get(service, place, OWNER, read("<items node='n'/>"))
    assert isinstance(answer, Element)
    assert len(answer.elements()) == 1 and len(answer.elements()[0].elements()) == 1
