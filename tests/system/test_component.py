"""A component written with slixmpp, and people on both sides of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from slixmpp import ComponentXMPP

from bench.accounts import PASSWORD, write_accounts
from tests.support.daemon import free_ports
from tests.support.person import Person
from tests.support.server import ServerProcess

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]
DOMAIN = "irc.localhost"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    (port,) = free_ports(1)
    settings = {"components.listen": [f"127.0.0.1:{port}"]}
    made = ServerProcess(tmp_path, settings=settings)
    with made.config_path.open("a") as file:
        file.write(f'[components.domains."{DOMAIN}"]\nsecret = "s3cret"\n')
    await write_accounts(tmp_path / "data" / "xmppd.db", ["romeo"])
    made.start()
    made.component_port = port  # type: ignore[attr-defined]
    yield made
    made.close()


class Echo(ComponentXMPP):
    """Says back what it hears, and answers pings and disco as slixmpp does."""

    def __init__(self, port: int) -> None:
        super().__init__(DOMAIN, "s3cret", "127.0.0.1", port)
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self.add_event_handler("message", self.echo)

    def echo(self, message: object) -> None:
        if message["type"] != "error":  # type: ignore[index]
            message.reply(f"echo {message['body']}").send()  # type: ignore[attr-defined,index]


async def test_component_echoes_is_found_and_is_missed(server: ServerProcess) -> None:
    echo = Echo(server.component_port)  # type: ignore[attr-defined]
    echo.connect()
    await echo.wait_until("session_start", timeout=10)
    romeo = Person("romeo@localhost", PASSWORD, ca=None, plugins=("xep_0030", "xep_0199"))
    await romeo.login(server.c2s_port)
    try:
        romeo.send_message(f"#verona@{DOMAIN}", "hello", mtype="chat")
        await romeo.wait_message("echo hello")
        items = await romeo.plugin["xep_0030"].get_items("localhost")
        assert DOMAIN in {jid for jid, _, _ in items["disco_items"]["items"]}
        assert await romeo.plugin["xep_0199"].send_ping(DOMAIN, timeout=10)
        echo.disconnect()
        await echo.wait_until("disconnected", timeout=10)
        romeo.send_message(DOMAIN, "anybody?", mtype="chat")
        error = await romeo.wait_for(lambda s: s.name == "message" and s["type"] == "error", "an error")
        assert error["error"]["condition"] == "service-unavailable"
    finally:
        await romeo.leave()
