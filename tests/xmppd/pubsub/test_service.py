"""What can be done with nodes: limits, and what comes of failures; what requests do is tested with the modules."""

import pytest

from codec.element import Element
from codec.jid import JID
from codec.payloads.data_form import Form
from codec.payloads.pubsub import NS_NODE_CONFIG
from storage.memory import MemoryBackend
from xmppd.errors import StanzaError
from xmppd.pubsub import service as service_file
from xmppd.pubsub.access import Asker
from xmppd.pubsub.limits import PUBLISH_BURST
from xmppd.pubsub.service import Place, Quotas, Service
from xmppd.pubsub.store import Nodes, NodeStore

ROMEO = JID("romeo@example.org")
OWNER = Asker(JID("romeo@example.org/orchard"), is_owner=True)
JULIET = Asker(JID("juliet@example.org/balcony"), sees_presence=True)
P = Element("urn:p p", {}, ("x" * 50,))


class Numbers:
    """Ids that grow, and a clock that a test sets."""

    def __init__(self) -> None:
        self.last = 0
        self.now = 0.0

    def next(self) -> int:
        self.last += 1
        return self.last

    def token(self) -> str:
        return f"t{self.next()}"


@pytest.fixture
def numbers() -> Numbers:
    return Numbers()


@pytest.fixture
async def service(numbers: Numbers) -> Service:
    backend = MemoryBackend()
    await backend.open()
    store = NodeStore(backend.map("nodes"), backend.map("items"))
    return Service(store, Quotas(200, 3, 5), numbers.next, numbers.token, lambda: numbers.now)


@pytest.fixture
def place() -> Place:
    return Place(ROMEO, Nodes())


def refused(call: object, *args: object, **named: object) -> str:
    with pytest.raises(StanzaError) as caught:
        call(*args, **named)  # type: ignore[operator]
    return "/".join(child.name for child in caught.value.to_element().elements() if child.name != "text")


def submit(**values: str) -> Form:
    return Form.submit(NS_NODE_CONFIG, {f"pubsub#{name}": value for name, value in values.items()})


async def test_account_has_no_more_nodes_than_the_limit(service: Service, place: Place) -> None:
    for name in "abc":
        service.create(place, OWNER, name, None)
    assert refused(service.create, place, OWNER, "d", None) == "not-allowed/max-nodes-exceeded"
    assert refused(service.publish, place, OWNER, "d", None, P, {}) == "not-allowed/max-nodes-exceeded"
    service.delete(place, OWNER, "a")
    service.create(place, OWNER, "d", None)


async def test_payload_above_the_limit_is_refused_and_makes_no_node(service: Service, place: Place) -> None:
    big = Element("urn:p p", {}, ("x" * 200,))
    assert refused(service.publish, place, OWNER, "n", "i", big, {}) == "not-acceptable/payload-too-big"
    assert place.nodes.by_name == {}


async def test_names_are_no_longer_than_the_limit(service: Service, place: Place) -> None:
    assert refused(service.publish, place, OWNER, "é" * 600, "i", P, {}) == "not-acceptable"
    assert refused(service.publish, place, OWNER, "n", "é" * 600, P, {}) == "not-acceptable"
    assert refused(service.create, place, OWNER, "x" * 1024, None) == "not-acceptable"


async def test_node_with_max_keeps_as_many_as_the_server_allows(service: Service, place: Place) -> None:
    for number in range(8):
        service.publish(place, OWNER, "n", f"i{number}", P, {"max_items": None})
    node = place.nodes.by_name["n"]
    assert list(node.items) == ["i3", "i4", "i5", "i6", "i7"]


async def test_account_has_room_for_so_many_bytes_and_items(
    service: Service, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.publish(place, OWNER, "n", "a", P, {"max_items": None})
    with monkeypatch.context() as small:
        small.setattr(service_file, "ACCOUNT_BYTES", 100)
        service.publish(place, OWNER, "n", "a", P, {})
        assert refused(service.publish, place, OWNER, "n", "c", P, {}) == "not-allowed/max-items-exceeded"
    with monkeypatch.context() as few:
        few.setattr(service_file, "ACCOUNT_ITEMS", 1)
        service.publish(place, OWNER, "n", "a", P, {})
        assert refused(service.publish, place, OWNER, "n", "c", P, {}) == "not-allowed/max-items-exceeded"


async def test_flood_is_stopped_and_goes_on_later(service: Service, place: Place, numbers: Numbers) -> None:
    for _ in range(PUBLISH_BURST):
        service.publish(place, OWNER, "n", "a", P, {})
    assert refused(service.publish, place, OWNER, "n", "a", P, {}) == "resource-constraint"
    assert refused(service.delete, place, OWNER, "n") == "resource-constraint"
    assert refused(service.create, place, OWNER, "m", None) == "resource-constraint"
    assert list(place.nodes.by_name) == ["n"]
    numbers.now += 1.0
    service.publish(place, OWNER, "n", "a", P, {})


async def test_fewer_items_are_kept_when_the_node_says_so(service: Service, place: Place) -> None:
    for number in range(4):
        service.publish(place, OWNER, "n", f"i{number}", P, {"max_items": None})
    service.configure(place, OWNER, "n", submit(max_items="2"))
    assert list(place.nodes.by_name["n"].items) == ["i2", "i3"]
    service.configure(place, OWNER, "n", submit(persist_items="false"))
    assert place.nodes.by_name["n"].items == {} and place.nodes.size == 0


async def test_lists_of_people_have_a_limit(service: Service, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_file, "JIDS_PER_NODE", 2)
    service.create(place, OWNER, "n", None)
    three = [(JID(f"p{number}@example.org"), "member") for number in range(3)]
    assert refused(service.set_affiliations, place, OWNER, "n", three) == "not-acceptable"
    assert place.nodes.by_name["n"].affiliations == {}
    subscriptions = [(jid, "subscribed") for jid, _ in three]
    assert refused(service.set_subscriptions, place, OWNER, "n", subscriptions) == "not-allowed/too-many-subscriptions"
    service.set_subscriptions(place, OWNER, "n", subscriptions[:2])
    assert refused(service.subscribe, place, JULIET, "n", JULIET.jid) == "not-allowed/too-many-subscriptions"


async def test_many_subscriptions_are_set_by_one_write(
    service: Service, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.create(place, OWNER, "n", None)
    written = []
    save = service.store.save
    monkeypatch.setattr(service.store.__class__, "save", lambda _, *args: written.append(1) or save(*args))
    people = [JID(f"p{number}@example.org") for number in range(500)]
    changes = service.set_subscriptions(place, OWNER, "n", [(jid, "subscribed") for jid in people])
    assert len(changes) == 500 and len(written) == 1
    assert service.set_subscriptions(place, OWNER, "n", [(jid, "subscribed") for jid in people]) == []
    (change,) = service.set_subscriptions(place, OWNER, "n", [(people[0], "none"), (people[1], "subscribed")])
    assert change.jid == people[0] and len(place.nodes.by_name["n"].subscriptions) == 499


async def test_nothing_changes_when_one_of_several_is_wrong(service: Service, place: Place) -> None:
    service.create(place, OWNER, "n", None)
    wanted = [(JULIET.bare, "member"), (JULIET.bare, "king")]
    assert refused(service.set_affiliations, place, OWNER, "n", wanted) == "bad-request"
    assert (
        refused(service.set_subscriptions, place, OWNER, "n", [(JULIET.bare, "subscribed"), (None, "none")])
        == "bad-request"
    )
    node = place.nodes.by_name["n"]
    assert (node.affiliations, node.subscriptions) == ({}, {})


async def test_item_that_is_not_kept_makes_the_node_all_the_same(service: Service, place: Place) -> None:
    change = service.publish(place, OWNER, "n", "i", P, {"persist_items": False})
    assert change.payload == P and change.ids == ("i",) and place.nodes.by_name["n"].items == {}
    assert service.publish(place, OWNER, "n", "i", P, {}).commit is None
