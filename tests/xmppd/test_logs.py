"""The log's lines: their form, what never shows, and that a level that is off costs nothing."""

import json
import logging
import re

import pytest
import structlog

from xmppd import logs


@pytest.fixture(autouse=True)
def restore():
    """Put back what `configure` changes in the process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


class Unprintable:
    """Breaks when it is formatted."""

    def __str__(self) -> str:
        raise AssertionError("formatted")

    __repr__ = __str__


def test_text_puts_the_event_first_and_then_its_values(capsys):
    logs.configure("info", "text")
    logs.get_logger("xmppd.c2s").info("stream_opened", stream=7, address="127.0.0.1:1", to=None)
    line = capsys.readouterr().err
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info stream_opened stream=7 address=127.0.0.1:1 to=- logger=xmppd.c2s\n",
        line,
    )


def test_a_list_is_one_value(capsys):
    logs.configure("info", "text")
    logs.get_logger("x").info("serving", domains=["a.example", "b.example"])
    assert "domains=a.example,b.example" in capsys.readouterr().err


def test_json_is_one_object_a_line(capsys):
    logs.configure("info", "json")
    logs.get_logger("xmppd.c2s").warning("stream_closed", stream=7, text='a "b"\n')
    event = json.loads(capsys.readouterr().err)
    assert list(event)[:3] == ["time", "level", "event"]
    assert event["event"] == "stream_closed"
    assert event["stream"] == 7
    assert event["text"] == 'a "b"\n'


def test_a_level_that_is_off_formats_nothing(capsys):
    logs.configure("info", "text")
    logs.get_logger("x").debug("stanza_received", stanza=Unprintable())
    assert capsys.readouterr().err == ""


def test_a_logger_works_before_anything_is_configured(capsys):
    log = logs.get_logger("x")
    log.info("started")
    log.debug("more")
    assert "info started" in capsys.readouterr().err


def test_bound_values_are_in_every_line(capsys):
    logs.configure()
    log = logs.get_logger("x").bind(stream=3)
    log.info("one")
    log.info("two")
    assert capsys.readouterr().err.count("stream=3") == 2


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_peer_cannot_write_lines_of_its_own(capsys, format_):
    logs.configure("info", format_)
    logs.get_logger("x").info("refused", jid="a\nerror fake\x1b[2J\u202e\x85\u2028")
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "\x1b" not in err


@pytest.mark.parametrize(
    "key", ["password", "auth", "new_password", "token", "stored_key", "server_key", "secret", "salted_password"]
)
def test_secrets_are_struck_by_name(capsys, key):
    logs.configure()
    logs.get_logger("x").info("login", **{key: "swordfish"})
    assert "swordfish" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "stanza",
    [
        b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>swordfish</auth>",
        b"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>swordfish",
        "<iq><query xmlns='jabber:iq:register'><username>romeo</username><password>swordfish</password></query></iq>",
        "<q:password xmlns:q='jabber:iq:register'>swordfish</q:password>",
        b"<authenticate><initial-response>swordfish</initial-response></authenticate>",
    ],
)
def test_secrets_are_struck_from_stanzas(capsys, stanza):
    logs.configure("debug")
    logs.get_logger("x").debug("received", stanza=stanza)
    err = capsys.readouterr().err
    assert "swordfish" not in err
    assert logs.STRUCK in err


def test_long_values_are_cut(capsys):
    logs.configure()
    logs.get_logger("x").info("received", text="a" * 100_000)
    err = capsys.readouterr().err
    assert len(err) < 5_000
    assert "(100000 characters)" in err


@pytest.mark.parametrize("format_", ["text", "json"])
def test_an_exception_brings_its_traceback(capsys, format_):
    logs.configure("info", format_)
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logs.get_logger("x").exception("handler_broke", hook="h")
    err = capsys.readouterr().err
    assert "RuntimeError: broken" in err
    assert "handler_broke" in err.splitlines()[0]


def test_libraries_log_the_same_way(capsys):
    logs.configure("info", "json")
    logging.getLogger("asyncio").warning("slow %s", "callback")
    logging.getLogger("asyncio").info("not shown")
    event = json.loads(capsys.readouterr().err)
    assert (event["event"], event["text"], event["logger"]) == ("library", "slow callback", "asyncio")


def test_a_log_that_cannot_be_written_is_no_reason_to_stop(monkeypatch):
    class Full:
        def write(self, text: str) -> None:
            raise OSError(28, "No space left on device")

    logs.configure()
    monkeypatch.setattr("sys.stderr", Full())
    logs.get_logger("x").info("event")
