"""Questions by UDP and TCP; answers without end are refused."""

import dns.exception
import dns.resolver
import pytest

from tests.support.name_server import name_server
from xmppd.s2s import stub_resolver as stub_file
from xmppd.s2s.stub_resolver import stub_resolver


async def test_what_fits_comes_by_udp():
    async with name_server([("x.example", "A", "192.0.2.1")]) as server:
        answer = await stub_resolver(server.address, 2).resolve("x.example.", "A")
        assert [one.address for one in answer] == ["192.0.2.1"]
        assert server.transports == ["udp"]


async def test_what_does_not_fit_comes_by_tcp():
    many = [f"192.0.2.{number}" for number in range(200)]
    async with name_server([("x.example", "A", *many)]) as server:
        answer = await stub_resolver(server.address, 2).resolve("x.example.", "A")
        assert len(answer) == 200
        assert server.transports == ["udp", "tcp"]


@pytest.mark.parametrize(("bytes_", "is_taken"), [(0, True), (-1, False)])
async def test_an_answer_longer_than_the_limit_is_refused(monkeypatch, bytes_, is_taken):
    many = [f"192.0.2.{number}" for number in range(200)]
    length = 12 + 15 + 200 * 16 + 11  # the header, the question, the records, EDNS
    monkeypatch.setattr(stub_file, "TCP_BYTES", length + bytes_)
    async with name_server([("x.example", "A", *many)]) as server:
        stub = stub_resolver(server.address, 2)
        if is_taken:
            assert len(await stub.resolve("x.example.", "A")) == 200
        else:
            with pytest.raises(dns.resolver.NoNameservers, match=f"an answer of {length} bytes"):
                await stub.resolve("x.example.", "A")


async def test_silence_by_tcp_ends():
    many = [f"192.0.2.{number}" for number in range(200)]
    async with name_server([("x.example", "A", *many)]) as server:
        server.silent_by.add("tcp")
        with pytest.raises(dns.exception.Timeout):
            await stub_resolver(server.address, 0.1).resolve("x.example.", "A", lifetime=0.2)


async def test_an_answer_to_another_question_is_refused_by_tcp():
    many = [f"192.0.2.{number}" for number in range(200)]
    async with name_server([("x.example", "A", *many)]) as server:
        server.forged = True
        with pytest.raises(dns.resolver.NoNameservers):
            await stub_resolver(server.address, 2).resolve("x.example.", "A")


def test_the_system_s_servers_are_those_of_its_file(tmp_path, monkeypatch):
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")
    original = dns.resolver.BaseResolver.read_resolv_conf
    monkeypatch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", lambda self, _: original(self, str(file)))
    assert [(one.address, one.port) for one in stub_resolver(None, 2).nameservers] == [
        ("192.0.2.1", 53),
        ("2001:db8::1", 53),
    ]
