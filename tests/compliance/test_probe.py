import pytest

from compliance.check import Failed
from compliance.probe import explore, register, unregister
from compliance.stream import TrafficLog
from tests.compliance.fake_server import ACCOUNTS, DOMAIN, FakeServer


async def test_the_profile_holds_what_the_server_offers():
    async with FakeServer() as server:
        profile = await explore(server.target(), ACCOUNTS["romeo"], TrafficLog())
    assert "urn:xmpp:ping" in profile.server
    assert profile.identities == {("server", "im")}
    assert profile.mechanisms == ["PLAIN"]
    assert profile.after_login == {"{urn:ietf:params:xml:ns:xmpp-bind}bind"}
    assert profile.software == ""


def registering(stanza):
    if len(stanza) and stanza[0].tag == "{jabber:iq:register}query":
        return f"<iq type='result' id='{stanza.get('id')}'/>"
    return None


async def test_an_account_is_made_and_its_password_is_not_in_the_log():
    async with FakeServer(registering) as server:
        log = TrafficLog()
        account = await register(server.target(), log)
        assert account.jid.endswith(f"@{DOMAIN}")
        assert any(account.password in text for text in server.received)
        assert not any(account.password in line for line in log.lines())


async def test_closed_registration_fails():
    async with FakeServer() as server:
        with pytest.raises(Failed, match="service-unavailable"):
            await register(server.target(), TrafficLog())


async def test_removing_an_account_asks_for_it():
    async with FakeServer(registering) as server:
        await unregister(server.target(), ACCOUNTS["romeo"], TrafficLog())
        assert any("<remove/>" in text for text in server.received)
