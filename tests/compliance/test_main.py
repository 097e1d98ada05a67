import asyncio
import json

import pytest

from compliance.__main__ import account, address, component, main, parser, run_suite
from compliance.runner import collect
from tests.compliance.fake_server import ACCOUNTS, FakeServer


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a.test", ("a.test", 5222)),
        ("a.test:15222", ("a.test", 15222)),
        ("[::1]", ("::1", 5222)),
        ("[::1]:15222", ("::1", 15222)),
        ("::1", ("::1", 5222)),
    ],
)
def test_a_server_is_a_host_with_or_without_a_port(text, wanted):
    assert address(text) == wanted


def test_a_components_secret_may_hold_colons():
    assert component("127.0.0.1:5347:echo.a.test:s:3") == ("127.0.0.1", 5347, "echo.a.test", "s:3")
    for wrong in ("127.0.0.1:5347:echo.a.test", "h:x:d:s", "h:1::s"):
        with pytest.raises(ValueError):
            component(wrong)


def test_an_account_is_split_at_its_first_colon():
    assert (account("a@b:pa:ss").jid, account("a@b:pa:ss").password) == ("a@b", "pa:ss")
    with pytest.raises(ValueError, match="JID:PASSWORD"):
        account("a@b")


@pytest.mark.parametrize(
    "line", [[], ["--server", "x"], ["--server", "x:y", "--register"], ["--server", "x", "--user", "a"]]
)
def test_a_line_that_cannot_run_ends_with_two(line, capsys):
    with pytest.raises(SystemExit) as end:
        main(line)
    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_the_checks_can_be_listed(capsys):
    assert main(["--list", "--only", "xep_0199"]) == 0
    assert "suite.xep_0199:domain_answers_ping" in capsys.readouterr().out


def test_the_declarations_can_be_shown(capsys):
    assert main(["--declarations"]) == 0
    assert "XEP-0199" in capsys.readouterr().out
    assert main(["--declarations", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []


async def run_against(server: FakeServer, *line: str, only: str = "domain_answers_ping") -> int:
    options = parser().parse_args(["--server", "127.0.0.1", *line])
    return await run_suite(server.target(), list(ACCOUNTS.values()), None, None, collect(only), options)


async def test_a_conformant_server_ends_with_zero(capsys):
    async with FakeServer() as server:
        assert await run_against(server, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["documents"]["XEP-0199"]["verdict"] == "supported"


def no_pong(stanza):
    if len(stanza) and stanza[0].tag == "{urn:xmpp:ping}ping":
        return f"<iq type='result' id='{stanza.get('id')}' from='fake.test'><pong xmlns='urn:wrong'/></iq>"
    return None


async def test_a_server_that_breaks_a_must_ends_with_one(capsys):
    async with FakeServer(no_pong) as server:
        assert await run_against(server) == 1
    told = capsys.readouterr()
    assert "rule: A server that lists the feature answers a client's ping with a result." in told.out
    assert "the number of elements in the result is 1, wanted 0" in told.out
    assert told.err.startswith("FAILED MUST")


async def test_a_server_that_lacks_the_feature_is_not_at_fault(capsys):
    async with FakeServer(features=()) as server:
        assert await run_against(server) == 0
    assert "1 not possible" in capsys.readouterr().out


async def test_a_server_that_is_not_there_ends_with_two(capsys):
    async with FakeServer() as server:
        pass
    assert await run_against(server) == 2
    assert "the run could not begin: cannot connect" in capsys.readouterr().err


async def test_a_declaration_that_the_run_contradicts_ends_with_one(capsys, monkeypatch):
    monkeypatch.setattr(
        "compliance.declaration.contradicted", lambda *_: ["x is declared complete, but y did not pass"]
    )
    async with FakeServer() as server:
        assert await run_against(server, "--declarations") == 1
    assert "x is declared complete" in capsys.readouterr().out


def test_main_runs_a_whole_line():
    async def serve() -> int:
        async with FakeServer() as server:
            users = [f"{one.jid}:{one.password}" for one in ACCOUNTS.values()]
            line = ["--server", f"127.0.0.1:{server.port}", "--domain", "fake.test", "--only", "domain_answers_ping"]
            return await asyncio.to_thread(main, [*line, "--json", "--user", *users])

    assert asyncio.run(serve()) == 0
