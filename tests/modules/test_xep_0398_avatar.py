"""XEP-0398: avatars of old clients (XEP-0153) and of new ones (XEP-0084) are the same."""

import base64
import hashlib

import pytest

from codec.element import Element, parse_element
from codec.jid import JID
from codec.stanza import Presence
from tests.modules.conftest import MakeWorld
from tests.support.pep import (
    MODULES,
    answer_of,
    befriend,
    configure,
    interested,
    items,
    payloads,
    problem,
    publish,
    told,
)
from tests.support.world import Client, World
from xmppd.modules.xep_0398_avatar import annotated, info_of

ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
DATA, METADATA = "urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata"
PICTURE = b"\x89PNG\r\n\x1a\n a face"
OTHER = b"\xff\xd8\xff another face"


def id_of(picture: bytes) -> str:
    return hashlib.sha1(picture).hexdigest()


def data_of(picture: bytes) -> str:
    return f"<data xmlns='{DATA}'>{base64.b64encode(picture).decode()}</data>"


def metadata_of(picture: bytes, type_: str = "image/png") -> str:
    return (
        f"<metadata xmlns='{METADATA}'><info bytes='{len(picture)}' id='{id_of(picture)}' type='{type_}'/></metadata>"
    )


def photo_of(picture: bytes, type_: str = "image/png") -> str:
    return f"<PHOTO><TYPE>{type_}</TYPE><BINVAL>{base64.b64encode(picture).decode()}</BINVAL></PHOTO>"


async def put_avatar(client: Client, picture: bytes = PICTURE, **options: str) -> None:
    assert await publish(client, DATA, data_of(picture), id_of(picture), **options) == ""
    assert await publish(client, METADATA, metadata_of(picture), id_of(picture), **options) == ""


async def put_card(client: Client, inner: str) -> str:
    await client.send(f"<iq type='set' id='card'><vCard xmlns='vcard-temp'>{inner}</vCard></iq>")
    return problem(await answer_of(client, "card"))


async def get_card(client: Client, to: str = ROMEO) -> str:
    """Return what is in a vCard, or the condition of the error."""
    await client.send(f"<iq type='get' id='card' to='{to}'><vCard xmlns='vcard-temp'/></iq>")
    answer = await answer_of(client, "card")
    if answer.type == "error":
        return problem(answer)
    return "".join(field.to_xml("vcard-temp").decode() for field in answer.element("vcard-temp vCard").elements())


def hashes(stanzas: list[object]) -> list[str | None]:
    """Return what each presence tells of the avatar: its hash, "" for none, None where it says nothing."""
    found: list[str | None] = []
    for stanza in stanzas:
        if isinstance(stanza, Presence):
            update = stanza.element("vcard-temp:x:update x")
            photo = None if update is None else update.find("vcard-temp:x:update photo")
            found.append(None if photo is None else photo.text)
    return found


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(*MODULES, "xep_0054_vcard", "xep_0398_avatar")
    await befriend(world, ROMEO, JULIET)
    return world


@pytest.fixture
async def romeo(world: World) -> Client:
    return await world.client(f"{ROMEO}/orchard", "<presence/>")


async def test_account_says_that_it_converts(romeo: Client) -> None:
    await romeo.send("<iq type='get' id='d'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
    (query,) = (await answer_of(romeo, "d")).elements()
    assert "urn:xmpp:pep-vcard-conversion:0" in {child.get("var") for child in query.elements()}


async def test_new_avatar_is_the_picture_of_the_card(world: World, romeo: Client) -> None:
    await put_card(romeo, "<FN>Romeo</FN>")
    await put_avatar(romeo)
    juliet = await world.client(f"{JULIET}/balcony")
    assert await get_card(juliet) == f"<FN>Romeo</FN>{photo_of(PICTURE)}"


async def test_picture_of_a_card_is_the_new_avatar_and_told(world: World, romeo: Client) -> None:
    juliet = await interested(world, f"{JULIET}/balcony", METADATA)
    await juliet.drain()
    assert await put_card(romeo, f"<FN>Romeo</FN>{photo_of(OTHER, 'image/png')}") == ""
    assert await told(juliet) == [f"{ROMEO} {METADATA} items {id_of(OTHER)}"]
    assert await payloads(juliet, METADATA, to=ROMEO) == [metadata_of(OTHER, "image/jpeg")]
    assert await payloads(juliet, DATA, to=ROMEO) == [data_of(OTHER)]
    assert await get_card(juliet) == f"<FN>Romeo</FN>{photo_of(OTHER, 'image/jpeg')}"


async def test_card_with_the_avatar_that_there_is_publishes_nothing(world: World, romeo: Client) -> None:
    await put_avatar(romeo)
    juliet = await interested(world, f"{JULIET}/balcony", METADATA)
    await juliet.drain()
    await put_card(romeo, f"<FN>Romeo</FN>{photo_of(PICTURE)}")
    assert await told(juliet) == []


async def test_card_without_a_picture_takes_the_avatar_away(world: World, romeo: Client) -> None:
    await put_avatar(romeo)
    juliet = await world.client(f"{JULIET}/balcony")
    await put_card(romeo, "<FN>Romeo</FN>")
    assert await payloads(juliet, METADATA, to=ROMEO) == [f"<metadata xmlns='{METADATA}'/>"]
    assert await get_card(juliet) == "<FN>Romeo</FN>"


async def test_picture_is_shown_only_to_those_who_may_see_the_avatar(world: World, romeo: Client) -> None:
    await put_card(romeo, "<FN>Romeo</FN>")
    await put_avatar(romeo, access_model="presence")
    tybalt = await world.client("tybalt@example.org/hall")
    assert await get_card(tybalt) == "<FN>Romeo</FN>"
    assert await get_card(romeo) == f"<FN>Romeo</FN>{photo_of(PICTURE)}"
    await configure(romeo, DATA, access_model="open")
    await configure(romeo, METADATA, access_model="open")
    assert await get_card(tybalt) == f"<FN>Romeo</FN>{photo_of(PICTURE)}"


async def test_card_that_has_nothing_for_a_stranger_looks_like_none(world: World, romeo: Client) -> None:
    await put_avatar(romeo, access_model="presence")
    assert await get_card(await world.client("tybalt@example.org/hall")) == "service-unavailable"


async def test_picture_of_an_old_client_can_be_seen_by_everybody_as_vcards_can(world: World, romeo: Client) -> None:
    await put_card(romeo, photo_of(PICTURE))
    tybalt = await world.client("tybalt@example.org/hall")
    assert await items(tybalt, METADATA, to=ROMEO) == [id_of(PICTURE)]


async def test_picture_that_is_not_base64_is_refused_and_one_elsewhere_stays(romeo: Client) -> None:
    assert await put_card(romeo, "<PHOTO><BINVAL>!!!</BINVAL></PHOTO>") == "bad-request"
    elsewhere = "<PHOTO><EXTVAL>https://example.org/face.png</EXTVAL></PHOTO>"
    assert await put_card(romeo, elsewhere) == ""
    assert await get_card(romeo) == elsewhere
    assert await items(romeo, METADATA) == "item-not-found"


async def test_picture_above_the_limit_is_refused_and_the_card_stays(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES, "xep_0054_vcard", "xep_0398_avatar", settings={"pubsub.item_bytes": 500})
    romeo = await world.client(f"{ROMEO}/orchard")
    await put_card(romeo, "<FN>Romeo</FN>")
    assert await put_card(romeo, f"<FN>R</FN>{photo_of(PICTURE * 50)}") == "not-acceptable/payload-too-big"
    assert await get_card(romeo) == "<FN>Romeo</FN>"


async def test_presence_of_all_clients_tells_the_hash(world: World, romeo: Client) -> None:
    juliet = await world.client(f"{JULIET}/balcony", "<presence/>")
    await put_avatar(romeo)
    assert hashes(await juliet.drain()) == [id_of(PICTURE)]
    await romeo.send("<presence><show>away</show><x xmlns='vcard-temp:x:update'><photo>other</photo></x></presence>")
    assert hashes(await juliet.drain()) == [id_of(PICTURE)]
    garden = await world.client(f"{ROMEO}/garden")
    await garden.send("<presence/>")
    assert hashes(await juliet.drain()) == [id_of(PICTURE)]


async def test_presence_tells_when_the_avatar_goes(world: World, romeo: Client) -> None:
    await put_avatar(romeo)
    juliet = await world.client(f"{JULIET}/balcony", "<presence/>")
    await publish(romeo, METADATA, f"<metadata xmlns='{METADATA}'/>", "gone")
    assert hashes(await juliet.drain()) == [""]


async def test_presence_says_nothing_where_there_never_was_an_avatar(world: World, romeo: Client) -> None:
    juliet = await world.client(f"{JULIET}/balcony", "<presence/>")
    await romeo.send("<presence><show>away</show></presence>")
    await romeo.send("<presence><x xmlns='vcard-temp:x:update'><photo>own</photo></x></presence>")
    assert hashes(await juliet.drain()) == [None, "own"]


async def test_presence_for_somebody_in_particular_tells_of_open_avatars_alone(world: World, romeo: Client) -> None:
    tybalt = await world.client("tybalt@example.org/hall", "<presence/>")
    await put_avatar(romeo, access_model="presence")
    await romeo.send("<presence to='tybalt@example.org/hall'/>")
    assert hashes(await tybalt.drain()) == [None]
    await configure(romeo, METADATA, access_model="open")
    await romeo.send("<presence to='tybalt@example.org/hall'/>")
    assert hashes(await tybalt.drain()) == [id_of(PICTURE)]


async def test_avatar_for_a_few_is_not_in_presence(world: World, romeo: Client) -> None:
    juliet = await world.client(f"{JULIET}/balcony", "<presence/>")
    await put_avatar(romeo, access_model="whitelist")
    await romeo.send("<presence><show>away</show></presence>")
    assert hashes(await juliet.drain()) == [None]


async def test_metadata_without_its_data_gives_no_picture(world: World, romeo: Client) -> None:
    await put_card(romeo, "<FN>Romeo</FN>")
    await publish(romeo, METADATA, metadata_of(PICTURE), id_of(PICTURE))
    assert await get_card(romeo) == "<FN>Romeo</FN>"


@pytest.mark.parametrize(
    ("inner", "found"),
    [
        ("", None),
        ("<info id='a' type='image/jpeg'/>", ("a", "image/jpeg")),
        ("<info id='a' type='image/jpeg'/><info id='b' type='image/png'/>", ("b", "image/png")),
        ("<info id='a' type='image/png' url='https://x'/>", None),
        ("<info type='image/png'/>", None),
    ],
)
def test_avatar_is_the_png_that_is_at_the_data_node(inner: str, found: tuple[str, str] | None) -> None:
    assert info_of(parse_element(f"<metadata xmlns='{METADATA}'>{inner}</metadata>".encode())) == found
    assert info_of(Element("urn:other metadata")) is None


def test_presence_that_tells_it_already_stays_the_same() -> None:
    presence = annotated(Presence(None, JID("a@b/c"), None, ""), "hash")
    assert annotated(presence, "hash") is presence
    assert annotated(presence, None) is presence
