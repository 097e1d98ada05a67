"""One POST against servers that misbehave."""

import ssl

import pytest
from aiohttp import web

from push.http_client import MAX_REPLY_BYTES, HttpClient, NoReply, PublicResolver, is_public
from tests.support.push.web_server import Misdeed, Server


class Echo(Server):
    """Answers with what came."""

    def __init__(self, context) -> None:
        super().__init__(context, lambda: 0.0)
        self._app.router.add_post("/", self._echo)

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        bad = await self.misbehave(request)
        return (
            bad
            if bad is not None
            else web.Response(body=await request.read(), headers={"X-Had": request.headers["X-Is"]})
        )


@pytest.fixture
async def pair(authority, server_context):
    server = Echo(server_context)
    await server.start()
    client = HttpClient(authority.client_context(), 0.5)
    yield client, server
    await client.close()
    await server.stop()


async def post(pair):
    client, server = pair
    return await client.post(f"{server.url}/", {"X-Is": "7"}, b"body")


async def test_a_post_has_its_answer_and_a_closed_client_opens_again(pair):
    for _ in range(2):
        reply = await post(pair)
        assert (reply.status, reply.body, reply.headers["x-had"]) == (200, b"body", "7")
        await pair[0].close()


async def test_redirects_are_not_followed(pair):
    pair[1].misdeeds.append(Misdeed(status=307, headers={"Location": f"{pair[1].url}/"}))
    assert (await post(pair)).status == 307 and pair[1].tries == 1


@pytest.mark.parametrize(("do", "reason"), [("silence", "timeout"), ("drop", "connect|connection-lost")])
async def test_no_answer_is_said_with_its_reason(pair, do, reason):
    pair[1].always = Misdeed(do)
    with pytest.raises(NoReply, match=reason):
        await post(pair)


async def test_an_answer_without_an_end_is_read_no_further(pair):
    pair[1].misdeeds.append(Misdeed("endless"))
    assert len((await post(pair)).body) == MAX_REPLY_BYTES


async def test_compressed_answers_are_not_blown_up(pair):
    pair[1].misdeeds.append(Misdeed(status=200, body=b"\x1f\x8bxx", headers={"Content-Encoding": "gzip"}))
    assert (await post(pair)).body == b"\x1f\x8bxx"


async def test_a_certificate_that_nobody_signed_and_a_closed_port_are_told_apart(pair):
    client = HttpClient(ssl.create_default_context(), 1)
    with pytest.raises(NoReply, match="tls"):
        await client.post(f"{pair[1].url}/", {}, b"")
    with pytest.raises(NoReply, match="connect"):
        await client.post("https://127.0.0.1:1/", {}, b"")
    await client.close()


async def test_names_that_lead_into_our_own_networks_do_not_exist(pair, authority):
    client = HttpClient(authority.client_context(), 1, public_only=True)
    with pytest.raises(NoReply, match="connect"):
        await client.post(f"{pair[1].url.replace('127.0.0.1', 'localhost')}/", {}, b"")
    assert pair[1].tries == 0
    await client.close()
    with pytest.raises(OSError):
        await PublicResolver().resolve("localhost")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "ff02::1",
        "100.64.0.1",
        "localhost",
        "127.1",
        ":",
    ],
)
def test_addresses_of_this_machine_and_its_networks_are_not_public(address):
    assert not is_public(address)


def test_addresses_of_the_internet_are_public():
    assert is_public("9.9.9.9") and is_public("2620:fe::fe") and is_public("::ffff:9.9.9.9")
