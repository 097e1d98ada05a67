"""Make the picture of Gajim talking through this server: `python -m tests.support.gajim_screenshot docs/gajim.png`."""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.support.ca import make_test_ca
from tests.support.desktop import Desktop
from tests.support.gajim import Gajim
from tests.support.person import Person, befriend
from tests.support.server import ServerProcess

DOMAIN, PASSWORD = "verona.example", "wherefore"
JULIET, ROMEO = f"juliet@{DOMAIN}", f"romeo@{DOMAIN}"
TALK = (
    (False, "Three words, dear Romeo, and good night indeed."),
    (True, "Send me word tomorrow."),
    (False, "By one that I'll procure to come to thee."),
    (True, "A thousand times good night!"),
)


async def talk(server: ServerProcess, gajim: Gajim, ca: Path, picture: Path) -> None:
    """Have the two talk, and take the picture."""
    plugins = ("xep_0199", "xep_0085")
    romeo = await Person(ROMEO, PASSWORD, ca=ca, plugins=plugins).login(server.c2s_port)
    juliet = await Person(JULIET, PASSWORD, ca=ca, plugins=plugins).login(server.c2s_port)
    await befriend(romeo, juliet)
    await juliet.leave()
    await romeo.wait_presence(JULIET, "unavailable")
    romeo.received.clear()
    await asyncio.to_thread(gajim.start)
    await romeo.wait_presence(JULIET, timeout_s=40)
    await asyncio.to_thread(gajim.select_chat, ROMEO)
    for is_romeos, text in TALK:
        if is_romeos:
            romeo.send_message(JULIET, text, mtype="chat")
        else:
            await asyncio.to_thread(gajim.type_message, text)
        await asyncio.to_thread(gajim.wait_logged, text)
    await asyncio.to_thread(gajim.wait_log, "Raise event: message-received")
    await romeo.settle()
    await asyncio.to_thread(gajim.desktop.screenshot, picture, gajim.window())
    await romeo.leave()


def main() -> None:
    """Start everything, take the picture, and end everything."""
    picture = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory(prefix="xmppd-picture-") as name, Desktop() as desktop:
        folder = Path(name)
        authority = make_test_ca(folder)
        leaf = authority.sign([DOMAIN], file_name="server")
        server = ServerProcess(folder / "server", [DOMAIN], certificate=leaf.certificate, key=leaf.key)
        with server:
            for jid in (JULIET, ROMEO):
                server.add_account(jid, PASSWORD)
            gajim = Gajim(desktop, "picture", JULIET, PASSWORD, server.c2s_port, leaf.certificate, chats=(ROMEO,))
            asyncio.run(talk(server, gajim, authority.path, picture))
            gajim.quit()


if __name__ == "__main__":
    main()
