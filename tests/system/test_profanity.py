"""Profanity in a terminal: login over verified TLS, presence, messages both ways, and history after a restart."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.desktop import missing_programs
from tests.support.person import Person, befriend
from tests.support.terminal import Terminal
from tests.system.conftest import Target, TLSFiles

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(missing_programs(("profanity", "tmux"))), reason="needs tests/support/system_packages.sh"),
]

JULIET, ROMEO, PASSWORD = "juliet@localhost", "romeo@localhost", "wherefore"
PLUGINS = ("xep_0199",)


class Profanity(Terminal):
    """Profanity with a home of its own, so each one is a new installation."""

    def __init__(self, home: Path, ca: Path) -> None:
        home.mkdir()
        super().__init__(home, ["profanity"], {"HOME": str(home), "SSL_CERT_FILE": str(ca)}, lines=300)
        self.wait_screen("Type '/help' to show complete help")

    def login(self, jid: str, password: str, port: int) -> None:
        """Connect with STARTTLS, which must succeed, and wait until it is online and knows the server's features."""
        self.type_line("/mam on")
        self.wait_screen("Message Archive Management enabled")
        self.type_line("/presence console all")
        self.type_line("/xmlconsole")
        self.wait_screen("XML Console")
        self.type_line("/win 1")
        self.type_line(f"/connect {jid} server 127.0.0.1 port {port} tls force")
        self.wait_screen("Enter password:")
        self.type_line(password)
        screen = self.wait_screen(r"\[online\]")
        assert "[TLS]" in screen, screen
        assert "certificate verification failed" not in screen, screen
        self.type_line("/xmlconsole")
        self.wait_screen("urn:xmpp:mam:2")  # from now on it knows that there is an archive to ask
        self.type_line("/win 1")

    def wait_acknowledged(self, text: str) -> None:
        """Wait until it has told the server that it has a message; one that it only showed is sent again at its next login."""
        self.type_line("/xmlconsole")
        self.wait_screen(rf"(?s){text}.*SENT:[^<]*<a h=")

    def open_chat(self, jid: str) -> None:
        """Open the window of a chat, which also asks the archive for what was said in it.

        Profanity 0.13 looks for `urn:xmpp:mam:2` among the domain's features, and asks for the same page twice, since it puts
        RSM's <after/> beside <set/> rather than into it: so it shows the history twice.
        """
        self.type_line(f"/msg {jid}")


@pytest.fixture
async def romeo(server: Target, tls: TLSFiles) -> AsyncIterator[Person]:
    """Romeo with slixmpp, a friend of Juliet, who has Profanity."""
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


async def test_profanity_logs_in_chats_and_has_its_history_after_a_restart(
    server: Target, tls: TLSFiles, folder: Path, romeo: Person
) -> None:
    profanity = await asyncio.to_thread(Profanity, folder / "one", tls.ca)
    try:
        await asyncio.to_thread(profanity.login, JULIET, PASSWORD, server.c2s_port)
        await chat(profanity, romeo)
        await asyncio.to_thread(profanity.type_line, "/quit")
        await romeo.wait_presence(JULIET, "unavailable")
    finally:
        profanity.close()

    await asyncio.to_thread(server.restart)
    again = await asyncio.to_thread(Profanity, folder / "two", tls.ca)
    try:
        await asyncio.to_thread(again.login, JULIET, PASSWORD, server.c2s_port)
        await asyncio.to_thread(again.open_chat, ROMEO)
        screen = await asyncio.to_thread(again.wait_screen, "Good morrow from a terminal")
        assert "Good morrow from the other side" in screen
    finally:
        again.close()


async def chat(profanity: Profanity, romeo: Person) -> None:
    """See each other, and say something in each direction."""
    presence = await romeo.wait_presence(JULIET)
    assert presence["from"].resource.startswith("profanity")
    await asyncio.to_thread(profanity.wait_screen, r"Online \(\d+\) *\n.*romeo@localhost")
    romeo.send_presence(pshow="away", pstatus="in Mantua")
    await asyncio.to_thread(profanity.wait_screen, "in Mantua")

    await asyncio.to_thread(profanity.open_chat, ROMEO)
    await asyncio.to_thread(profanity.type_line, "Good morrow from a terminal")
    message = await romeo.wait_message("Good morrow from a terminal")
    assert message["from"].bare == JULIET
    romeo.send_message(JULIET, "Good morrow from the other side", mtype="chat")
    await asyncio.to_thread(profanity.wait_screen, "Good morrow from the other side")
    await asyncio.to_thread(profanity.wait_acknowledged, "Good morrow from the other side")
