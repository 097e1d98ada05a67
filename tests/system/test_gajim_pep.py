"""Gajim in a real window: the avatar of a friend and bookmarks that an old client made reach it, also after a restart of the server;
with OMEMO switched on, strangers find its keys."""

import asyncio
import hashlib
from collections.abc import Iterator

import pytest

from tests.support.desktop import Desktop, missing_programs
from tests.support.gajim import PROGRAMS, Gajim
from tests.support.person import Person, befriend
from tests.system.conftest import Target, TLSFiles

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(missing_programs(PROGRAMS)), reason="needs tests/support/system_packages.sh"),
]

JULIET, ROMEO, PASSWORD = "juliet@localhost", "romeo@localhost", "wherefore"
ROOM = "verona@conference.localhost"
PLUGINS = ("xep_0199", "xep_0048", "xep_0049", "xep_0060", "xep_0084")
OMEMO = "eu.siacs.conversations.axolotl"
# One black pixel, as PNG.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)
ID = hashlib.sha1(PICTURE).hexdigest()


@pytest.fixture(scope="module")
def desktop() -> Iterator[Desktop]:
    with Desktop() as started:
        yield started


async def person(jid: str, server: Target, tls: TLSFiles) -> Person:
    """Log somebody in with slixmpp."""
    return await Person(jid, PASSWORD, ca=tls.ca, plugins=PLUGINS).login(server.c2s_port)


async def set_the_stage(server: Target, tls: TLSFiles) -> Person:
    """Return romeo, whose avatar is published, and who is a friend of juliet; she has a bookmark in private storage."""
    for jid in (JULIET, ROMEO):
        server.add_account(jid, PASSWORD)
    romeo, juliet = await person(ROMEO, server, tls), await person(JULIET, server, tls)
    await befriend(romeo, juliet)
    bookmarks = juliet.plugin["xep_0048"].stanza.Bookmarks()
    bookmarks.add_conference(ROOM, "Ju", name="Verona Square", autojoin=False)
    await juliet.plugin["xep_0048"].set_bookmarks(bookmarks, method="xep_0049")
    await juliet.leave()
    avatars = romeo.plugin["xep_0084"]
    await avatars.publish_avatar(PICTURE)
    await avatars.publish_avatar_metadata(items=[{"id": ID, "type": "image/png", "bytes": len(PICTURE)}])
    return romeo


async def test_gajim_sees_avatars_and_bookmarks(server: Target, tls: TLSFiles, desktop: Desktop) -> None:
    romeo = await set_the_stage(server, tls)
    gajim = Gajim(desktop, "pep", JULIET, PASSWORD, server.c2s_port, tls.certificate)
    try:
        await asyncio.to_thread(gajim.start)
        await sees_everything(gajim, 0)
        avatar = gajim.profile / "avatars" / ID
        assert avatar.read_bytes() == PICTURE
        await romeo.leave()
        position = len(gajim.log_text())
        await asyncio.to_thread(server.restart)
        await sees_everything(gajim, position)
        await asyncio.to_thread(gajim.quit)
    except TimeoutError as error:
        raise AssertionError(f"{error}\nGajim's log ends:\n{gajim.log_text()[-3000:]}") from error


async def sees_everything(gajim: Gajim, position: int) -> None:
    """Wait until Gajim has found that the server converts, the bookmark, and what romeo published, who may be away."""
    for words in (
        "Discovered Avatar Conversion",
        "name='Verona Square', nick='Ju'",
        f"Received avatar metadata: {ROMEO} - AvatarMetaData(infos=[AvatarInfo(bytes={len(PICTURE)}, id='{ID}'",
    ):
        await asyncio.to_thread(gajim.wait_log, words, position, 60)
    if not position:
        await asyncio.to_thread(gajim.wait_log, f"Received Avatar: {ROMEO} {ID}", position, 30)


async def test_gajim_publishes_its_keys_for_everybody(server: Target, tls: TLSFiles, desktop: Desktop) -> None:
    server.add_account("nurse@localhost", PASSWORD)
    server.add_account("tybalt@localhost", PASSWORD)
    gajim = Gajim(desktop, "omemo", "nurse@localhost", PASSWORD, server.c2s_port, tls.certificate, plugins=("omemo",))
    try:
        await asyncio.to_thread(gajim.start)
        # told by the server that its own list of devices is there
        await asyncio.to_thread(gajim.wait_log, "Received OMEMO devicelist: nurse@localhost - [", 0, 60)
    except TimeoutError as error:
        raise AssertionError(f"{error}\nGajim's log ends:\n{gajim.log_text()[-3000:]}") from error
    stranger = await person("tybalt@localhost", server, tls)
    pubsub = stranger.plugin["xep_0060"]
    devices = (await pubsub.get_items("nurse@localhost", f"{OMEMO}.devicelist"))["pubsub"]["items"]["item"]["payload"]
    (device,) = [one.get("id") for one in devices]
    bundle = (await pubsub.get_items("nurse@localhost", f"{OMEMO}.bundles:{device}"))["pubsub"]["items"]["item"]
    assert len(bundle["payload"].findall(f".//{{{OMEMO}}}preKeyPublic")) >= 20
    await asyncio.to_thread(gajim.quit)
    await stranger.leave()
