"""RFC 6121 §2: the roster."""

import time

import pytest

from storage.interface import Commit, StorageFull
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, World
from xmppd.hooks import FeaturesEvent, stream_features
from xmppd.modules.rfc_6121_roster import FROM, PENDING_IN, PENDING_OUT, TO, Contact, Request, Roster, RosterModule

GET = "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>"
RESULT = "<iq type='result' id='s' to='{romeo}'/>"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


def change(item: str) -> str:
    return f"<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{item}</query></iq>"


def push(item: str) -> str:
    return f"<iq type='set' id='*' to='*'><query xmlns='jabber:iq:roster' ver='*'>{item}</query></iq>"


def error(condition: str, type_: str, to: str = "{romeo}") -> str:
    return (
        f"<iq type='error' id='s' to='{to}'><error type='{type_}'><{condition} xmlns='{STANZAS}'/>"
        f"<text xmlns='{STANZAS}'>*</text></error></iq>"
    )


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world("rfc_6121_roster", "rfc_6121_subscription", "rfc_6121_presence")


@pytest.fixture
async def romeo(world: World) -> Client:
    return await world.client("romeo@example.org/orchard")


async def ask(client: Client, ver: str | None = None) -> Roster | None:
    """Return what a client learns of the roster; None when it learns that its version is the latest."""
    attribute = f" ver='{ver}'" if ver is not None else ""
    await client.send(f"<iq type='get' id='g'><query xmlns='jabber:iq:roster'{attribute}/></iq>")
    answer = await client.next_stanza()
    query = answer.element("jabber:iq:roster query")
    if query is None:
        assert answer.type == "result" and not answer.tags
        return None
    contacts = {}
    for item in query.elements():
        contacts[item.get("jid")] = Contact(
            name=item.get("name", ""), groups=tuple(group.text for group in item.elements()), is_listed=True
        )
    return Roster(contacts, query.get("ver"))


async def test_new_roster_is_an_empty_query_with_a_version(romeo: Client) -> None:
    await romeo.send(GET)
    await romeo.expect("<iq type='result' id='g' to='{romeo}'><query xmlns='jabber:iq:roster' ver='*'/></iq>")


async def test_contact_that_was_set_is_pushed_and_stays(romeo: Client) -> None:
    await ask(romeo)
    await romeo.send(
        change("<item jid='Juliet@example.org' name='Juliet &amp; co'><group>A</group><group>B</group></item>")
    )
    item = "<item jid='juliet@example.org' name='Juliet &amp; co' subscription='none'><group>A</group><group>B</group></item>"
    await romeo.expect(push(item))
    await romeo.expect(RESULT)
    roster = await ask(romeo)
    assert roster.contacts == {
        "juliet@example.org": Contact(name="Juliet & co", groups=("A", "B"), is_listed=True),
    }


async def test_push_goes_to_interested_resources_alone_and_has_no_from(world: World, romeo: Client) -> None:
    interested = await world.client("romeo@example.org/balcony")
    await ask(interested)
    other = await world.client("romeo@example.org/garden", presence="<presence/>")
    await romeo.send(change("<item jid='juliet@example.org'/>"))
    pushed = await interested.next_stanza()
    assert pushed.from_ is None and pushed.to == interested.jid
    await interested.send(f"<iq type='result' id='{pushed.id}'/>")
    await interested.expect_nothing()
    await other.expect_nothing()
    assert [stanza.type for stanza in await romeo.drain()] == ["result"]


async def test_item_is_replaced_as_a_whole(romeo: Client) -> None:
    await romeo.send(change("<item jid='juliet@example.org' name='J'><group>A</group></item>"))
    await romeo.send(change("<item jid='juliet@example.org' name=''/>"))
    await romeo.drain()
    assert (await ask(romeo)).contacts == {"juliet@example.org": Contact(is_listed=True)}


@pytest.mark.parametrize(
    "attributes", ["subscription='both'", "subscription='junk'", "ask='subscribe'", "approved='true'"]
)
async def test_client_cannot_set_the_subscription(romeo: Client, attributes: str) -> None:
    await ask(romeo)
    await romeo.send(change(f"<item jid='juliet@example.org' {attributes}/>"))
    await romeo.expect(push("<item jid='juliet@example.org' subscription='none'/>"))
    await romeo.expect(RESULT)


async def test_removed_contact_is_pushed_as_removed(romeo: Client) -> None:
    await romeo.send(change("<item jid='juliet@example.org'/>"))
    await romeo.drain()
    await ask(romeo)
    await romeo.send(change("<item jid='juliet@example.org' subscription='remove'/>"))
    await romeo.expect(push("<item jid='juliet@example.org' subscription='remove'/>"))
    await romeo.expect(RESULT)
    assert (await ask(romeo)).contacts == {}


async def test_removing_who_is_not_there_is_item_not_found(romeo: Client) -> None:
    await romeo.send(change("<item jid='juliet@example.org' subscription='remove'/>"))
    await romeo.expect(
        f"<iq type='error' id='s' to='{{romeo}}'><error type='modify'><item-not-found xmlns='{STANZAS}'/></error></iq>"
    )


@pytest.mark.parametrize(
    ("items", "condition", "type_"),
    [
        ("", "bad-request", "modify"),
        ("<item jid='a@example.org'/><item jid='b@example.org'/>", "bad-request", "modify"),
        ("<item jid='a@example.org/there'/>", "bad-request", "modify"),
        ("<item jid='@'/>", "bad-request", "modify"),
        ("<item/>", "bad-request", "modify"),
        ("<item jid='a@example.org'><group>A</group><group>A</group></item>", "bad-request", "modify"),
        ("<item jid='a@example.org'><group/></item>", "not-acceptable", "modify"),
        (f"<item jid='a@example.org'><group>{'é' * 512}</group></item>", "not-acceptable", "modify"),
        (f"<item jid='a@example.org' name='{'n' * 1024}'/>", "not-acceptable", "modify"),
        (
            f"<item jid='a@example.org'>{''.join(f'<group>{n}</group>' for n in range(51))}</item>",
            "not-acceptable",
            "modify",
        ),
        ("<item jid='romeo@example.org'/>", "not-allowed", "cancel"),
    ],
)
async def test_change_that_breaks_a_rule_is_refused(romeo: Client, items: str, condition: str, type_: str) -> None:
    await romeo.send(change(items))
    await romeo.expect(error(condition, type_))
    assert (await ask(romeo)).contacts == {}


async def test_longest_name_and_most_groups_are_taken(romeo: Client) -> None:
    groups = "".join(f"<group>{n:0>1023}</group>" for n in range(50))
    await romeo.send(change(f"<item jid='a@example.org' name='{'n' * 1023}'>{groups}</item>"))
    await romeo.expect(RESULT)


async def test_request_with_items_is_refused(romeo: Client) -> None:
    await romeo.send("<iq type='get' id='s'><query xmlns='jabber:iq:roster'><item jid='a@b'/></query></iq>")
    await romeo.expect(error("bad-request", "modify"))


async def test_others_can_neither_read_nor_change_a_roster(world: World, romeo: Client) -> None:
    await world.account("juliet@example.org")
    request = "<iq type='{}' id='s' to='juliet@example.org'><query xmlns='jabber:iq:roster'>{}</query></iq>"
    await romeo.send(request.format("set", "<item jid='a@b'/>"))
    answer = await romeo.next_stanza()
    assert answer.element("jabber:client error").find(f"{STANZAS} forbidden") is not None
    await romeo.send(request.format("get", ""))
    answer = await romeo.next_stanza()
    assert answer.element("jabber:client error").find(f"{STANZAS} service-unavailable") is not None


async def test_request_to_the_own_bare_jid_is_answered_from_it(romeo: Client) -> None:
    await romeo.send("<iq type='get' id='g' to='romeo@example.org'><query xmlns='jabber:iq:roster'/></iq>")
    await romeo.expect(
        "<iq type='result' id='g' from='romeo@example.org' to='{romeo}'><query xmlns='jabber:iq:roster' ver='*'/></iq>"
    )


async def test_roster_has_its_limit(make_world: MakeWorld) -> None:
    world = await make_world("rfc_6121_roster", settings={"limits.roster_items": 2})
    romeo = await world.client("romeo@example.org/orchard")
    for name in "ab":
        await romeo.send(change(f"<item jid='{name}@example.org'/>"))
    await romeo.drain()
    await romeo.send(change("<item jid='c@example.org'/>"))
    await romeo.expect(error("not-acceptable", "modify"))
    await romeo.send(change("<item jid='a@example.org' name='A'/>"))
    await romeo.expect(RESULT)


# versions


async def test_client_with_the_latest_version_gets_an_empty_result(romeo: Client) -> None:
    await romeo.send(change("<item jid='a@example.org'/>"))
    await romeo.drain()
    roster = await ask(romeo, "")
    assert len(roster.contacts) == 1
    assert await ask(romeo, roster.version) is None
    await romeo.send(change("<item jid='b@example.org'/>"))
    pushed = await romeo.next_stanza()
    await romeo.drain()
    assert len((await ask(romeo, roster.version)).contacts) == 2
    assert await ask(romeo, pushed.elements()[0].get("ver")) is None


async def test_version_outlives_the_server(make_world: MakeWorld) -> None:
    backend = MemoryBackend()
    first = await make_world("rfc_6121_roster", backend=backend)
    romeo = await first.client("romeo@example.org/orchard")
    await romeo.send(change("<item jid='a@example.org' name='A'><group>G</group></item>"))
    await romeo.drain()
    roster = await ask(romeo)
    second = await make_world("rfc_6121_roster", backend=backend)
    romeo = await second.client("romeo@example.org/orchard")
    assert await ask(romeo, roster.version) is None
    assert (await ask(romeo)).contacts == roster.contacts


async def test_features_are_offered_after_login(world: World) -> None:
    stream, _ = world.stream()
    tags = []
    for is_authenticated in (False, True):
        event = FeaturesEvent(stream, [], is_authenticated)
        world.host().signal(stream_features, event)
        tags.append([feature.tag for feature in event.features])
    assert tags == [[], ["urn:xmpp:features:rosterver ver", "urn:xmpp:features:pre-approval sub"]]


# storage


@pytest.mark.parametrize(
    "contact",
    [
        Contact(),
        Contact(TO | FROM, "Ö", ("a", "b"), True, True),
        Contact(PENDING_IN, request=Request("i", "en", "<status>hé</status>", "")),
        Contact(FROM | PENDING_OUT, is_listed=True),
    ],
)
def test_contact_is_stored_and_read(contact: Contact) -> None:
    assert Contact.decode(contact.encode()) == contact


class FullStore:
    """A map that fails: in the call itself, or when it is committed."""

    def __init__(self, store: object, at_once: bool) -> None:
        self._store = store
        self.at_once = at_once

    def update(self, *_: object) -> Commit:
        if self.at_once:
            raise StorageFull("no room")
        commit = Commit()
        commit.finish(StorageFull("no room"))
        return commit

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


@pytest.mark.parametrize("at_once", [True, False])
async def test_change_that_cannot_be_kept_is_refused_and_taken_back(world: World, romeo: Client, at_once: bool) -> None:
    await romeo.send(change("<item jid='a@example.org' name='before'/>"))
    await romeo.drain()
    version = (await ask(romeo)).version
    stores = world.host().module(RosterModule).stores
    whole = stores["items"]
    stores["items"] = FullStore(whole, at_once)
    await romeo.send(change("<item jid='a@example.org' name='after'/>"))
    stanzas = await romeo.drain()
    answer = stanzas[-1]
    assert answer.element("jabber:client error").find(f"{STANZAS} resource-constraint") is not None
    pushed = [stanza.elements()[0].elements()[0].get("name") for stanza in stanzas[:-1]]
    assert pushed == ([] if at_once else ["after", "before"])
    stores["items"] = whole
    roster = await ask(romeo)
    assert roster.contacts["a@example.org"].name == "before"
    assert at_once or roster.version != version


async def test_roster_of_ten_thousand_is_read_and_sent_in_a_moment(world: World) -> None:
    contact = Contact(TO | FROM, "A name", ("Friends",), is_listed=True).encode()
    await (
        world.host()
        .module(RosterModule)
        .stores["items"]
        .update("romeo@example.org", {f"contact{n}@example.org": contact for n in range(10_000)})
    )
    romeo = await world.client("romeo@example.org/orchard")
    start = time.perf_counter()
    roster = await romeo.resource.account.load_part(Roster)
    loaded = time.perf_counter()
    data = roster.query().to_xml()
    assert data.count(b"<item") == 10_000
    assert loaded - start < 0.5 and time.perf_counter() - loaded < 0.5
