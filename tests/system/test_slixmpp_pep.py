"""What people publish of themselves, by a stock client library: tunes, avatars, bookmarks, keys; and the server restarted between."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from xml.etree.ElementTree import Element, SubElement

import pytest
from slixmpp.exceptions import IqError

from tests.support.person import TIMEOUT_S, Person, befriend
from tests.support.watch import PLUGINS, Watch, options_of, wish
from tests.system.conftest import Login, Target

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

TUNE = "http://jabber.org/protocol/tune"
BOOKMARKS, OLD_BOOKMARKS = "urn:xmpp:bookmarks:1", "storage:bookmarks"
DEVICES = "eu.siacs.conversations.axolotl.devicelist"
METADATA = "urn:xmpp:avatar:metadata"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100


async def interested(login: Login, jid: str, *nodes: str, plugins: tuple[str, ...] = ()) -> tuple[Person, Watch]:
    """Log somebody in who wants to know of some nodes."""
    person = await login(jid, plugins=(*PLUGINS, *plugins), presence=False)
    return person, await wish(person, *nodes)


def devices(*ids: int) -> Element:
    """Return a list of devices of OMEMO, as today's clients write it."""
    found = Element("{eu.siacs.conversations.axolotl}list")
    for id_ in ids:
        SubElement(found, "{eu.siacs.conversations.axolotl}device", {"id": str(id_)})
    return found


def bookmark(name: str) -> Element:
    """Return a bookmark of XEP-0402."""
    found = Element(f"{{{BOOKMARKS}}}conference", {"name": name, "autojoin": "true"})
    SubElement(found, f"{{{BOOKMARKS}}}nick").text = "Ro"
    return found


async def pair(login: Login) -> tuple[str, str]:
    """Return the JIDs of two people who see each other's presence and are away."""
    one, other = await login(), await login()
    await befriend(one, other)
    jids = one.boundjid.bare, other.boundjid.bare
    await one.leave()
    await other.leave()
    return jids


Restart = Callable[[], Awaitable[None]]


@pytest.fixture
def restart(server: Target) -> Restart:
    """A function that ends the server in order and starts it again."""

    async def again() -> None:
        await asyncio.to_thread(server.restart)

    return again


async def test_tune_is_told_to_a_friend_and_again_after_a_restart(login: Login, restart: Restart) -> None:
    romeo_jid, juliet_jid = await pair(login)
    juliet, watch = await interested(login, juliet_jid, TUNE)
    romeo = await login(romeo_jid, plugins=(*PLUGINS, "xep_0118"))
    await romeo.plugin["xep_0118"].publish_tune(artist="Prokofiev", title="Dance of the Knights")
    assert await watch.wait(TUNE) == (["current"], romeo_jid)
    await romeo.leave()
    await juliet.leave()
    await restart()
    _, watch = await interested(login, juliet_jid, TUNE)
    assert await watch.wait(TUNE) == (["current"], romeo_jid)


async def test_avatar_is_seen_by_new_clients_and_by_old_ones(login: Login, restart: Restart) -> None:
    romeo_jid, juliet_jid = await pair(login)
    id_ = hashlib.sha1(PICTURE).hexdigest()
    juliet, watch = await interested(login, juliet_jid, METADATA, plugins=("xep_0054", "xep_0084", "xep_0153"))
    romeo = await login(romeo_jid, plugins=(*PLUGINS, "xep_0084"))
    await juliet.wait_presence(romeo.boundjid.full)
    await romeo.plugin["xep_0084"].publish_avatar(PICTURE)
    await romeo.plugin["xep_0084"].publish_avatar_metadata(
        items=[{"id": id_, "type": "image/png", "bytes": len(PICTURE)}]
    )
    assert await watch.wait(METADATA) == ([id_], romeo_jid)
    presence = await juliet.wait_presence(romeo.boundjid.full)
    assert presence["vcard_temp_update"]["photo"] == id_
    for _ in range(2):
        answer = await juliet.plugin["xep_0084"].retrieve_avatar(romeo_jid, id_)
        (item,) = answer["pubsub"]["items"]
        assert item["avatar_data"]["value"] == PICTURE
        card = (await juliet.plugin["xep_0054"].get_vcard(romeo_jid))["vcard_temp"]
        assert card["PHOTO"]["BINVAL"] == PICTURE
        await juliet.leave()
        await romeo.leave()
        await restart()
        juliet, watch = await interested(login, juliet_jid, METADATA, plugins=("xep_0054", "xep_0084"))
        assert await watch.wait(METADATA) == ([id_], romeo_jid)


async def test_picture_in_an_old_clients_vcard_is_the_avatar(login: Login) -> None:
    romeo_jid, juliet_jid = await pair(login)
    _, watch = await interested(login, juliet_jid, METADATA)
    romeo = await login(romeo_jid, plugins=("xep_0054",))
    card = romeo.plugin["xep_0054"].make_vcard()
    card["FN"] = "Romeo"
    card["PHOTO"]["TYPE"] = "image/png"
    card["PHOTO"]["BINVAL"] = PICTURE
    await romeo.plugin["xep_0054"].publish_vcard(card)
    assert await watch.wait(METADATA) == ([hashlib.sha1(PICTURE).hexdigest()], romeo_jid)


async def test_bookmarks_are_the_same_for_all_clients_and_after_a_restart(login: Login, restart: Restart) -> None:
    romeo = await login(plugins=PLUGINS)
    jid = romeo.boundjid.bare
    options = options_of(
        romeo, access_model="whitelist", persist_items="true", max_items="max", send_last_published_item="never"
    )
    rooms = [f"room{number}@conference.localhost" for number in range(20)]
    for room in rooms:
        await romeo.plugin["xep_0060"].publish(None, BOOKMARKS, id=room, payload=bookmark(room), options=options)
    await romeo.leave()
    await restart()
    new = await login(jid, plugins=(*PLUGINS, "xep_0402"))
    old = await login(jid, plugins=(*PLUGINS, "xep_0048", "xep_0049", "xep_0223"))
    answer = await new.plugin["xep_0060"].get_items(None, BOOKMARKS)
    assert sorted(item["id"] for item in answer["pubsub"]["items"]) == sorted(rooms)
    assert all(item["conference"]["nick"] == "Ro" for item in answer["pubsub"]["items"])
    for method in ("xep_0049", "xep_0223"):
        found = await old.plugin["xep_0048"].get_bookmarks(method=method)
        holder = found["private"] if method == "xep_0049" else found["pubsub"]["items"]["item"]
        conferences = holder["bookmarks"]["conferences"]
        assert sorted(str(one["jid"]) for one in conferences) == sorted(rooms)


async def test_devices_of_omemo_are_opened_as_clients_do_it(login: Login) -> None:
    romeo, stranger = await login(plugins=PLUGINS), await login(plugins=PLUGINS)
    pubsub = romeo.plugin["xep_0060"]
    await pubsub.publish(None, DEVICES, id="current", payload=devices(1))
    with pytest.raises(IqError) as refused:
        await stranger.plugin["xep_0060"].get_items(romeo.boundjid.bare, DEVICES)
    assert refused.value.condition == "not-authorized"
    options = options_of(romeo, access_model="open")
    with pytest.raises(IqError) as refused:
        await pubsub.publish(None, DEVICES, id="current", payload=devices(1, 2), options=options)
    assert refused.value.condition == "conflict"
    form = (await pubsub.get_node_config(None, DEVICES))["pubsub_owner"]["configure"]["form"]
    form.reply()
    form["type"] = "submit"
    form.set_values({**form.get_values(), "pubsub#access_model": "open"})
    await pubsub.set_node_config(None, DEVICES, form)
    await pubsub.publish(None, DEVICES, id="current", payload=devices(1, 2), options=options)
    answer = await stranger.plugin["xep_0060"].get_items(romeo.boundjid.bare, DEVICES)
    (item,) = answer["pubsub"]["items"]
    assert [device.get("id") for device in item["payload"]] == ["1", "2"]


async def test_nothing_published_is_lost_when_the_server_is_killed(login: Login, server: Target) -> None:
    romeo = await login(plugins=PLUGINS)
    jid = romeo.boundjid.bare
    options = options_of(romeo, max_items="max", access_model="open")
    acknowledged = []

    async def go_on() -> None:
        for number in range(10_000):
            id_ = f"i{number}"
            await romeo.plugin["xep_0060"].publish(None, "urn:x", id=id_, payload=devices(number), options=options)
            acknowledged.append(id_)
            if number == 100:
                enough.set()

    enough = asyncio.Event()
    publishing = asyncio.ensure_future(go_on())
    await asyncio.wait_for(enough.wait(), TIMEOUT_S)
    await asyncio.to_thread(server.kill9)
    publishing.cancel()
    romeo.abort()
    await asyncio.to_thread(server.start)
    again = await login(jid, plugins=PLUGINS)
    answer = await again.plugin["xep_0060"].get_items(None, "urn:x")
    found = {item["id"]: item for item in answer["pubsub"]["items"]}
    assert set(acknowledged) <= set(found) and len(acknowledged) > 100
    assert all(found[f"i{number}"]["payload"][0].get("id") == str(number) for number in range(101))
