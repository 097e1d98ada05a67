"""What DNS tells clients, with made-up answers."""

import pytest

from xmppd.cli import dns


def answers(**by_service: list[str]) -> dns.Lookup:
    """Return a resolver that knows some records."""

    async def lookup(name: str) -> list[str]:
        service = name.split(".")[0]
        return by_service.get(service.replace("-", "_").strip("_"), [])

    return lookup


async def silent(name: str) -> list[str]:
    raise OSError("timeout")


async def never(name: str) -> list[str]:
    raise AssertionError(f"asked for {name}")


async def test_records_are_shown():
    found = await dns.look_at(
        "a.example.org", answers(xmpp_client=["x.example.org:5222"], xmpps_client=["x.example.org:5223"])
    )
    assert found.state == "ok"
    assert found.detail == "_xmpp-client._tcp: x.example.org:5222; _xmpps-client._tcp: x.example.org:5223"


async def test_no_record_is_a_warning():
    found = await dns.look_at("example.org", answers())
    assert found.state == "warning"
    assert "port 5222 of example.org itself" in found.detail


async def test_no_resolver_is_said_to_be_not_checked():
    found = await dns.look_at("example.org", silent)
    assert (found.state, found.detail) == ("skipped", "not checked: no resolver answers (timeout)")


@pytest.mark.parametrize(
    "domain", ["localhost", "box", "a.test", "a.localhost", "printer.local", "192.0.2.1", "[2001:db8::1]"]
)
async def test_names_that_are_not_public_are_not_asked_for(domain):
    assert (await dns.look_at(domain, never)).state == "skipped"


async def test_a_domain_is_asked_for_as_dns_writes_it():
    asked = []

    async def lookup(name: str) -> list[str]:
        asked.append(name)
        return []

    await dns.look_at("bücher.example.org", lookup)
    assert asked[0] == "_xmpp-client._tcp.xn--bcher-kva.example.org"


def test_a_name_that_is_not_public_needs_no_resolver():
    assert [found.state for found in dns.look(["localhost", "a.test"])] == ["skipped", "skipped"]
