from dataclasses import replace

import pytest

from compliance.check import Failed
from compliance.client import AuthenticationFailed
from compliance.names import condition, text
from tests.compliance.fake_server import DOMAIN, FakeServer

TWO = "<message from='a@x' id='1'><body>one</body></message><message from='b@x' id='2'><body>two</body></message>"


def saying(xml: str, *, to_payload: str = "say"):
    """Return an answer for the fake server: `xml` when a request with that payload comes."""

    def answer(stanza):
        if len(stanza) and stanza[0].tag.endswith(f"}}{to_payload}"):
            return xml.replace("$id", stanza.get("id", ""))
        return None

    return answer


async def logged_in(server):
    client = server.client()
    await client.login()
    return client


SAY = "<iq type='set' id='say'><say xmlns='urn:x'/></iq>"


async def test_login_ends_with_a_bound_jid_and_one_line_in_the_log():
    async with FakeServer() as server:
        client = await logged_in(server)
        assert client.jid == f"romeo@{DOMAIN}/r1"
        assert client.bare == f"romeo@{DOMAIN}"
        assert [entry.way for entry in client.log.entries] == ["-"]


async def test_a_wrong_password_is_told_with_its_condition():
    async with FakeServer() as server:
        client = server.client()
        await client.start()
        with pytest.raises(AuthenticationFailed) as failure:
            await client.authenticate(password="wrong")
        assert failure.value.condition == "not-authorized"


async def test_passwords_are_not_in_the_log():
    async with FakeServer() as server:
        client = server.client()
        await client.start()
        await client.authenticate()
        assert not any("AHJvbWVv" in line for line in client.log.lines())  # base64 of NUL romeo


async def test_what_was_not_waited_for_stays_in_the_inbox():
    async with FakeServer(saying(TWO)) as server:
        client = await logged_in(server)
        await client.send(SAY)
        second = await client.expect("c:message", id="2")
        assert text(second, "c:body") == "two"
        assert [el.get("id") for el in client.inbox] == ["1"]
        first = await client.expect("c:message/c:body", from_="a@x")
        assert first.get("id") == "1"
        assert client.inbox == []


async def test_an_attribute_can_be_wanted_absent():
    async with FakeServer(saying("<presence type='unavailable' id='1'/><presence id='2'/>")) as server:
        client = await logged_in(server)
        await client.send(SAY)
        assert (await client.expect("c:presence", type="")).get("id") == "2"


async def test_waiting_ends_at_the_deadline_and_says_for_what():
    async with FakeServer() as server:
        client = await logged_in(server)
        client.target = replace(client.target, timeout_s=0.05)
        with pytest.raises(Failed, match=r"<c:message id='never'> did not come to romeo within 0.05 s"):
            await client.expect("c:message", id="never")


async def test_waiting_ends_when_the_stream_does_and_names_its_error():
    error = "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    async with FakeServer(saying(error)) as server:
        client = await logged_in(server)
        await client.send(SAY)
        with pytest.raises(Failed, match="with the stream error conflict"):
            await client.expect("c:message")


async def test_a_stream_error_can_be_what_is_waited_for():
    error = "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    async with FakeServer(saying(error)) as server:
        for wanted, fits in ((("conflict",), True), (("reset", "policy-violation"), False)):
            client = await logged_in(server)
            await client.send(SAY)
            if fits:
                assert await client.expect_stream_error(*wanted) == "conflict"
                continue
            with pytest.raises(Failed, match="the stream error is 'conflict', wanted reset or policy-violation"):
                await client.expect_stream_error(*wanted)


async def test_refuse_fails_only_on_what_fits():
    async with FakeServer(saying(TWO)) as server:
        client = await logged_in(server)
        await client.send(SAY)
        await client.roundtrip()
        client.refuse("c:message", id="3", why="never sent")
        with pytest.raises(Failed, match="came though it should not: romeo got <message"):
            client.refuse("c:message", id="2", why="came though it should not")


async def test_a_request_gives_its_answer_be_it_an_error():
    async with FakeServer() as server:
        client = await logged_in(server)
        assert (await client.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=DOMAIN)).get("type") == "result"
        assert condition(await client.iq("get", "<x xmlns='urn:x'/>")) == "service-unavailable"
        with pytest.raises(Failed, match="refused with service-unavailable"):
            await client.ask("get", "<x xmlns='urn:x'/>")


async def test_stanzas_are_counted_and_other_elements_are_not():
    async with FakeServer(saying(TWO + "<a xmlns='urn:xmpp:sm:3' h='0'/><presence/>")) as server:
        client = await logged_in(server)
        assert client.stanzas_received == 0
        await client.send(SAY)
        await client.expect("c:presence")
        assert client.stanzas_received == 3


async def test_xml_that_is_not_well_formed_fails_the_check():
    async with FakeServer(saying("<message></presence>")) as server:
        client = await logged_in(server)
        await client.send(SAY)
        with pytest.raises(Failed, match="not well-formed"):
            await client.expect("c:message")


async def test_a_closed_stream_is_answered_and_the_end_seen():
    async with FakeServer() as server:
        client = await logged_in(server)
        await client.send("</stream:stream>")
        await client.expect_end()
        assert client.closed
        await client.close()
        assert client.lost


async def test_nobody_listening_fails_the_check():
    async with FakeServer() as server:
        target = server.target()
    client = server.client()
    with pytest.raises(Failed, match=f"cannot connect to 127.0.0.1:{target.port}"):
        await client.connect()


async def test_a_server_without_common_mechanism_is_told_so():
    async with FakeServer() as server:
        client = server.client()
        await client.start()
        client.features[0][0].text = "X-OTHER"
        with pytest.raises(Failed, match="the server offers X-OTHER"):
            await client.authenticate()
