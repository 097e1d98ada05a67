"""Gajim in a real window: it enters a room of its bookmarks by itself, hears what is said, and is there again after a restart."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.desktop import Desktop, missing_programs
from tests.support.gajim import PROGRAMS, Gajim
from tests.support.person import TIMEOUT_S, Person
from tests.system.conftest import Target, TLSFiles

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(150),
    pytest.mark.skipif(bool(missing_programs(PROGRAMS)), reason="needs tests/support/system_packages.sh"),
]

JULIET, ROMEO, PASSWORD = "juliet@localhost", "romeo@localhost", "wherefore"
ROOM = "verona@conference.localhost"
PLUGINS = ("xep_0199", "xep_0045", "xep_0048", "xep_0049", "xep_0060")


@pytest.fixture(scope="module")
def desktop() -> Iterator[Desktop]:
    with Desktop() as started:
        yield started


async def enter(romeo: Person, **settings: str) -> None:
    """Enter the room as romeo, and set it up."""
    await romeo.plugin["xep_0045"].join_muc_wait(ROOM, "Romeo", timeout=TIMEOUT_S)
    form = await romeo.plugin["xep_0045"].get_room_config(ROOM)
    form["type"] = "submit"
    form.set_values({f"muc#roomconfig_{name}": value for name, value in settings.items()})
    await romeo.plugin["xep_0045"].set_room_config(ROOM, form)


@pytest.fixture
async def romeo(server: Target, tls: TLSFiles) -> AsyncIterator[Person]:
    """Romeo, who is in a room of his that stays; juliet has it among her bookmarks."""
    for jid in (JULIET, ROMEO):
        server.add_account(jid, PASSWORD)
    romeo = await Person(ROMEO, PASSWORD, ca=tls.ca, plugins=PLUGINS).login(server.c2s_port)
    juliet = await Person(JULIET, PASSWORD, ca=tls.ca, plugins=PLUGINS).login(server.c2s_port)
    bookmarks = juliet.plugin["xep_0048"].stanza.Bookmarks()
    bookmarks.add_conference(ROOM, "Juliet", name="Verona Square", autojoin=True)
    await juliet.plugin["xep_0048"].set_bookmarks(bookmarks, method="xep_0049")
    await juliet.leave()
    await enter(romeo, persistentroom="1", roomname="Verona Square")
    yield romeo
    await romeo.leave()


async def say(romeo: Person, text: str, gajim: Gajim, position: int = 0) -> None:
    """Have romeo say something, and see it come to Gajim."""
    romeo.send_message(ROOM, text, mtype="groupchat")
    await asyncio.to_thread(gajim.wait_log, text, position, 30)


async def test_gajim_enters_its_room_and_hears(server: Target, tls: TLSFiles, desktop: Desktop, romeo: Person) -> None:
    gajim = Gajim(desktop, "rooms", JULIET, PASSWORD, server.c2s_port, tls.certificate)
    came = romeo.make_future(f"muc::{ROOM}::got_online")
    try:
        await asyncio.to_thread(gajim.start)
        assert (await asyncio.wait_for(came, 60))["from"] == f"{ROOM}/Juliet"
        await say(romeo, "Enter, fair lady", gajim)
        position = len(gajim.log_text())
        await romeo.leave()
        await asyncio.to_thread(server.restart)
        romeo = await Person(ROMEO, PASSWORD, ca=tls.ca, plugins=PLUGINS).login(server.c2s_port)
        _, _, there, _ = await romeo.plugin["xep_0045"].join_muc_wait(ROOM, "Romeo", timeout=TIMEOUT_S)
        if "Juliet" not in [presence["from"].resource for presence in there]:
            again = romeo.make_future(f"muc::{ROOM}::got_online")
            assert (await asyncio.wait_for(again, 60))["from"] == f"{ROOM}/Juliet"
        await say(romeo, "There again", gajim, position)
        await asyncio.to_thread(gajim.quit)
        await romeo.leave()
    except TimeoutError as error:
        raise AssertionError(f"{error}\nGajim's log ends:\n{gajim.log_text()[-3000:]}") from error
