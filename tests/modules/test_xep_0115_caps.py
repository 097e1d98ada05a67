"""XEP-0115: Entity Capabilities."""

import asyncio

import pytest

from codec.element import parse_element
from codec.jid import JID
from codec.payloads.data_form import Field, Form
from codec.payloads.disco import Identity, Info
from codec.stanza import IQ, Presence, Stanza
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, World
from xmppd.hooks import FeaturesEvent, stream_features
from xmppd.modules import xep_0115_caps
from xmppd.modules.xep_0115_caps import CapsModule, Known, verification_string

NS = "http://jabber.org/protocol/caps"
INFO_NS = "http://jabber.org/protocol/disco#info"

EXODUS = Info(
    identities=(Identity(category="client", type="pc", name="Exodus 0.9.1"),),
    features=(
        NS,
        INFO_NS,
        "http://jabber.org/protocol/disco#items",
        "http://jabber.org/protocol/muc",
    ),
)
EXODUS_VER = "QgayPKawpkPSDYmwT/WM94uAlu0="

PSI = (
    "<query xmlns='http://jabber.org/protocol/disco#info'>"
    "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>"
    "<identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>"
    "<feature var='http://jabber.org/protocol/muc'/><feature var='http://jabber.org/protocol/caps'/>"
    "<feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/>"
    "<x xmlns='jabber:x:data' type='result'>"
    "<field var='software'><value>Psi</value></field><field var='os_version'><value>10.5.1</value></field>"
    "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>"
    "<field var='ip_version'><value>ipv6</value><value>ipv4</value></field>"
    "<field var='os'><value>Mac</value></field><field var='software_version'><value>0.11</value></field></x></query>"
)
PSI_VER = "q07IKJEyjvHSyhy//CH0CxmKi8w="


def software(form_type: str = "urn:x", type_: str | None = "hidden", values: tuple[str, ...] = ("1",)) -> Form:
    field = Field(var="FORM_TYPE", type=type_, values=(form_type,))
    return Form(type="result", fields=(field, Field(var="v", values=values)))


def with_forms(*forms: Form) -> Info:
    return Info(identities=EXODUS.identities, features=EXODUS.features, forms=forms)


# the hash


def test_examples_of_the_document_hash_as_it_says() -> None:
    assert verification_string(EXODUS, "sha-1") == EXODUS_VER
    assert verification_string(Info.from_element(parse_element(PSI.encode())), "sha-1") == PSI_VER


def test_order_on_the_wire_does_not_count() -> None:
    turned = Info(identities=EXODUS.identities, features=tuple(reversed(EXODUS.features)))
    assert verification_string(turned, "sha-1") == EXODUS_VER
    forms = software("urn:a"), software("urn:b")
    assert verification_string(with_forms(*forms), "sha-1") == verification_string(with_forms(*forms[::-1]), "sha-1")


@pytest.mark.parametrize("hash_name", ["sha-224", "sha-256", "sha-384", "sha-512"])
def test_other_hashes_are_known(hash_name: str) -> None:
    assert verification_string(EXODUS, hash_name) not in (None, EXODUS_VER)


@pytest.mark.parametrize("form", [software(type_="text-single"), software(type_=None), Form(type="result")])
def test_form_without_hidden_type_is_passed_over(form: Form) -> None:
    assert verification_string(with_forms(form), "sha-1") == EXODUS_VER


@pytest.mark.parametrize(
    "info",
    [
        Info(identities=EXODUS.identities * 2, features=EXODUS.features),
        Info(identities=EXODUS.identities, features=(*EXODUS.features, NS)),
        with_forms(software(), software(values=("2",))),
        with_forms(Form(type="result", fields=(Field(var="FORM_TYPE", type="hidden", values=("urn:x", "urn:y")),))),
        Info(identities=EXODUS.identities, features=("a<b",)),
        Info(identities=(Identity(category="client", type="pc", name="x<y"),)),
        with_forms(software(values=("<",))),
    ],
)
def test_ill_formed_answer_has_no_hash(info: Info) -> None:
    assert verification_string(info, "sha-1") is None


def test_type_said_twice_alike_is_said_once() -> None:
    form = Form(type="result", fields=(Field(var="FORM_TYPE", type="hidden", values=("urn:x", "urn:x")),))
    assert verification_string(with_forms(form), "sha-1") is not None


# the server's own


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world("rfc_6121_roster", "rfc_6121_presence", "xep_0030_disco", "xep_0115_caps", "xep_0199_ping")


async def test_stream_features_after_login_name_what_disco_tells(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard")
    found = []
    for is_authenticated in (False, True):
        event = FeaturesEvent(romeo.stream, [], is_authenticated)
        world.host().signal(stream_features, event)
        found.append(event.features)
    assert [len(features) for features in found] == [0, 3]
    own = found[1][-1]
    assert own.tag == f"{NS} c" and own.get("hash") == "sha-1"
    await romeo.send(f"<iq type='get' id='d' to='example.org'><query xmlns='{INFO_NS}'/></iq>")
    plain = (await romeo.next_stanza()).get(Info)
    assert verification_string(plain, "sha-1") == own.get("ver") and NS in plain.features
    node = f"{own.get('node')}#{own.get('ver')}"
    await romeo.send(f"<iq type='get' id='d' to='example.org'><query xmlns='{INFO_NS}' node='{node}'/></iq>")
    answer = (await romeo.next_stanza()).get(Info)
    assert (answer.node, answer.identities, answer.features) == (node, plain.identities, plain.features)
    await romeo.send(f"<iq type='get' id='d' to='example.org'><query xmlns='{INFO_NS}' node='{node}x'/></iq>")
    assert (await romeo.next_stanza()).type == "error"


# the clients'


def presence(ver: str, hash_name: str = "sha-1") -> str:
    return f"<presence><c xmlns='{NS}' hash='{hash_name}' node='urn:client' ver='{ver}'/></presence>"


async def answer(client: Client, info: Info) -> None:
    """Answer the server's question."""
    request = await client.next_stanza()
    assert request.from_ == "example.org" and request.type == "get"
    reply = request.reply(Info(node=request.get(Info).node, identities=info.identities, features=info.features))
    await client.send(reply.to_xml().decode())


async def test_client_is_asked_when_somebody_wants_to_know_and_once_for_all_of_its_kind(world: World) -> None:
    caps = world.host().module(CapsModule)
    romeo = await world.client("romeo@example.org/orchard", presence=presence(EXODUS_VER))
    await romeo.expect_nothing()
    assert caps.features_of(romeo.resource) is None
    task = asyncio.create_task(caps.discover(romeo.resource))
    again = asyncio.create_task(caps.discover(romeo.resource))
    await answer(romeo, EXODUS)
    assert await task == await again == frozenset(EXODUS.features) == caps.features_of(romeo.resource)
    juliet = await world.client("juliet@example.org/balcony", presence=presence(EXODUS_VER))
    assert await caps.discover(juliet.resource) == frozenset(EXODUS.features)
    await juliet.expect_nothing()
    await romeo.expect_nothing()


async def test_question_names_node_and_hash(world: World) -> None:
    caps = world.host().module(CapsModule)
    romeo = await world.client("romeo@example.org/orchard", presence=presence(EXODUS_VER))
    task = asyncio.create_task(caps.discover(romeo.resource))
    await romeo.expect(
        f"<iq type='get' id='*' from='example.org' to='{{romeo}}'>"
        f"<query xmlns='{INFO_NS}' node='urn:client#{EXODUS_VER}'/></iq>"
    )
    task.cancel()


async def test_liar_spoils_nothing_for_others_and_is_not_asked_again(world: World) -> None:
    caps = world.host().module(CapsModule)
    liar = await world.client("iago@example.org/shade", presence=presence(EXODUS_VER))
    romeo = await world.client("romeo@example.org/orchard", presence=presence(EXODUS_VER))
    tasks = [asyncio.create_task(caps.discover(client.resource)) for client in (liar, romeo)]
    await world.settle()
    await answer(liar, Info(identities=EXODUS.identities, features=("urn:evil",)))
    assert await tasks[0] is None
    await answer(romeo, EXODUS)
    assert await tasks[1] == frozenset(EXODUS.features)
    # what is proven by its hash holds for whoever names the hash
    assert caps.features_of(liar.resource) == frozenset(EXODUS.features)


async def test_bad_answer_is_not_asked_for_twice(world: World) -> None:
    caps = world.host().module(CapsModule)
    romeo = await world.client("romeo@example.org/orchard", presence=presence(EXODUS_VER))
    task = asyncio.create_task(caps.discover(romeo.resource))
    request = await romeo.next_stanza()
    await romeo.send(f"<iq type='error' id='{request.id}' to='example.org'/>")
    assert await task is None
    assert await caps.discover(romeo.resource) is None
    await romeo.expect_nothing()
    await romeo.send("<presence/>", presence("another"))
    await romeo.drain()
    task = asyncio.create_task(caps.discover(romeo.resource))
    request = await romeo.next_stanza()
    await romeo.send(
        f"<iq type='result' id='{request.id}' to='example.org'><query xmlns='{INFO_NS}'><feature/></query></iq>"
    )
    assert await task is None


async def test_silence_ends_with_the_deadline(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xep_0115_caps, "TIMEOUT_S", 0.01)
    romeo = await world.client("romeo@example.org/orchard", presence=presence(EXODUS_VER))
    assert await world.host().module(CapsModule).discover(romeo.resource) is None


async def test_unknown_hash_says_something_of_that_client_alone(world: World) -> None:
    caps = world.host().module(CapsModule)
    romeo = await world.client("romeo@example.org/orchard", presence=presence("x", "md99"))
    juliet = await world.client("juliet@example.org/balcony", presence=presence("x", "md99"))
    task = asyncio.create_task(caps.discover(romeo.resource))
    await answer(romeo, EXODUS)
    assert await task == frozenset(EXODUS.features) == await caps.discover(romeo.resource)
    assert caps.features_of(juliet.resource) is None


@pytest.mark.parametrize("xml", ["<presence/>", f"<presence><c xmlns='{NS}' node='n' ver='0.9' ext='a b'/></presence>"])
async def test_client_without_a_hash_is_not_asked(world: World, xml: str) -> None:
    caps = world.host().module(CapsModule)
    romeo = await world.client("romeo@example.org/orchard", presence=xml)
    assert await caps.discover(romeo.resource) is None
    await romeo.send("<presence type='unavailable'/>")
    assert await caps.discover(romeo.resource) is None


async def test_answers_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xep_0115_caps, "MAX_KNOWN", 1)
    caps = world.host().module(CapsModule)
    clients = []
    for name in ("a", "b"):
        info = Info(identities=EXODUS.identities, features=(name,))
        ver = verification_string(info, "sha-1")
        client = await world.client(f"{name}@example.org/x", presence=presence(str(ver)))
        task = asyncio.create_task(caps.discover(client.resource))
        await answer(client, info)
        assert await task == {name}
        clients.append(client)
    assert [caps.features_of(client.resource) for client in clients] == [None, {"b"}]
    task = asyncio.create_task(caps.discover(clients[0].resource))
    await answer(clients[0], Info(identities=EXODUS.identities, features=("a",)))
    assert await task == {"a"}  # who was forgotten is asked again


async def test_answer_that_is_too_long_is_not_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xep_0115_caps, "MAX_ANSWER_BYTES", 10)
    caps = world.host().module(CapsModule)
    romeo = await world.client("romeo@example.org/orchard", presence=presence(EXODUS_VER))
    task = asyncio.create_task(caps.discover(romeo.resource))
    await answer(romeo, EXODUS)
    assert await task is None


async def test_client_on_another_server_is_asked_by_the_account_and_known_to_all_with_its_hash(world: World) -> None:
    host, far = world.host(), JID("juliet@far.example/balcony")
    taken: list[Stanza] = []

    class Remote:
        def take(self, stanza: Stanza) -> None:
            taken.append(stanza)

    host.shared.components.remote = Remote()  # type: ignore[assignment]
    caps = host.module(CapsModule)
    known = Known()
    element = parse_element(f"<c xmlns='{NS}' hash='sha-1' node='urn:n' ver='{EXODUS_VER}'/>".encode())
    known.note(Presence.build(element, from_=far))
    waiting = [
        asyncio.ensure_future(caps.discover_for(far, known, JID("romeo@example.org"))),
        asyncio.ensure_future(caps.discover_for(far, known, JID("nurse@example.org"))),
    ]
    await world.settle()
    (question,) = taken
    assert (question.to, question.from_) == (far, "romeo@example.org") and isinstance(question, IQ)
    answer = Info(node=f"urn:n#{EXODUS_VER}", identities=EXODUS.identities, features=EXODUS.features)
    await host.send(question.reply(answer))
    assert await asyncio.gather(*waiting) == [frozenset(EXODUS.features)] * 2
    other = Known()
    other.note(Presence.build(element, from_=JID("tybalt@far.example/hall")))
    assert caps.features_for(other) == frozenset(EXODUS.features)
    other.note(Presence.build(from_=far))
    assert caps.features_for(other) is None


async def test_client_on_another_server_whose_answer_is_wrong_is_asked_once(world: World) -> None:
    host, far = world.host(), JID("juliet@far.example/balcony")
    taken: list[Stanza] = []

    class Remote:
        def take(self, stanza: Stanza) -> None:
            taken.append(stanza)

    host.shared.components.remote = Remote()  # type: ignore[assignment]
    caps = host.module(CapsModule)
    known = Known()
    element = parse_element(f"<c xmlns='{NS}' hash='sha-1' node='urn:n' ver='forged'/>".encode())
    known.note(Presence.build(element, from_=far))
    waiting = asyncio.ensure_future(caps.discover_for(far, known, JID("romeo@example.org")))
    await world.settle()
    (question,) = taken
    assert isinstance(question, IQ)
    await host.send(question.reply(EXODUS))
    assert await waiting is None
    assert await caps.discover_for(far, known, JID("romeo@example.org")) is None
    assert len(taken) == 1
