"""Gajim in a real window: login over TLS, presence, messages both ways, and history after a restart of the server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.desktop import Desktop, missing_programs
from tests.support.gajim import PROGRAMS, Gajim
from tests.support.person import Person, befriend
from tests.system.conftest import Target, TLSFiles

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(150),
    pytest.mark.skipif(bool(missing_programs(PROGRAMS)), reason="needs tests/support/system_packages.sh"),
]

JULIET, ROMEO, PASSWORD = "juliet@localhost", "romeo@localhost", "wherefore"
PLUGINS = ("xep_0199", "xep_0359")


@pytest.fixture(scope="module")
def desktop() -> Iterator[Desktop]:
    with Desktop() as started:
        yield started


@pytest.fixture
async def romeo(server: Target, tls: TLSFiles) -> AsyncIterator[Person]:
    """Romeo with slixmpp, a friend of Juliet, who has Gajim."""
    for jid in (JULIET, ROMEO):
        server.add_account(jid, PASSWORD)
    romeo = await Person(ROMEO, PASSWORD, ca=tls.ca, plugins=PLUGINS).login(server.c2s_port)
    juliet = await Person(JULIET, PASSWORD, ca=tls.ca, plugins=PLUGINS).login(server.c2s_port)
    await befriend(romeo, juliet)
    await juliet.leave()
    await romeo.wait_presence(JULIET, "unavailable")
    romeo.received.clear()
    yield romeo
    await romeo.leave()


async def test_gajim_logs_in_chats_and_has_its_history_after_a_restart(
    server: Target, tls: TLSFiles, desktop: Desktop, romeo: Person
) -> None:
    gajim = Gajim(desktop, "first", JULIET, PASSWORD, server.c2s_port, tls.certificate, chats=(ROMEO,))
    try:
        await chat(gajim, romeo)
        await live_on_after_restart(gajim, romeo, server, tls)
        await fetch_history_anew(desktop, server, tls)
    except TimeoutError as error:
        raise AssertionError(f"{error}\nGajim's log ends:\n{gajim.log_text()[-3000:]}") from error


async def chat(gajim: Gajim, romeo: Person) -> None:
    """Log Gajim in, see each other, and say something in each direction."""
    await asyncio.to_thread(gajim.start)
    presence = await romeo.wait_presence(JULIET, timeout_s=40)
    assert presence["from"].resource.startswith("gajim.")
    assert await asyncio.to_thread(gajim.saw_presence, ROMEO)
    assert "tlsv1." in gajim.log_text().lower() or "tls negotiation" in gajim.log_text().lower()

    await asyncio.to_thread(gajim.select_chat, ROMEO)
    await asyncio.to_thread(gajim.type_message, "Good morrow from a window")
    message = await romeo.wait_message("Good morrow from a window")
    assert message["from"].bare == JULIET
    sent = await asyncio.to_thread(gajim.wait_logged, "Good morrow from a window")
    assert (sent.jid, sent.is_incoming) == (ROMEO, False)

    romeo.send_message(JULIET, "Good morrow from a terminal", mtype="chat")
    received = await asyncio.to_thread(gajim.wait_logged, "Good morrow from a terminal")
    assert (received.jid, received.is_incoming) == (ROMEO, True)


async def live_on_after_restart(gajim: Gajim, romeo: Person, server: Target, tls: TLSFiles) -> None:
    """Restart the server: Gajim comes back by itself and gets what was said while it was away."""
    await romeo.leave()
    position = len(gajim.log_text())
    await asyncio.to_thread(server.restart)
    again = await Person(ROMEO, PASSWORD, ca=tls.ca, plugins=PLUGINS).login(server.c2s_port)
    again.send_message(JULIET, "Said after the restart", mtype="chat")
    await again.settle()
    await asyncio.to_thread(gajim.wait_log, "Successfully bound", position, 60)
    assert (await asyncio.to_thread(gajim.wait_logged, "Said after the restart", 60)).is_incoming
    assert [m.text for m in gajim.history()].count("Said after the restart") == 1
    await asyncio.to_thread(gajim.quit)
    await again.leave()


async def fetch_history_anew(desktop: Desktop, server: Target, tls: TLSFiles) -> None:
    """Install Gajim anew, with TLS from the first byte: the archive gives it all that was said, in order and once."""
    gajim = Gajim(desktop, "second", JULIET, PASSWORD, server.direct_tls_port, tls.certificate, direct_tls=True)
    await asyncio.to_thread(gajim.start)
    await asyncio.to_thread(gajim.wait_logged, "Said after the restart", 40)
    history = [(m.text, m.is_incoming) for m in gajim.history() if m.jid == ROMEO]
    assert history == [
        ("Good morrow from a window", False),
        ("Good morrow from a terminal", True),
        ("Said after the restart", True),
    ]
    assert all(m.stanza_id for m in gajim.history())
    await asyncio.to_thread(gajim.quit)


async def test_a_screenshot_shows_gajims_window(desktop: Desktop, tmp_path: Path) -> None:
    picture = tmp_path / "screen.png"
    await asyncio.to_thread(desktop.screenshot, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
