"""A first configuration."""

import stat
import tomllib

from xmppd.config_sources import load_config
from xmppd.tls import TlsStore


def test_it_writes_settings_that_can_be_used(empty, run):
    done = run("init", "--domain", "Example.org")
    assert done.code == 0
    config = load_config(empty / "xmppd.toml")
    assert config.server.domains == ("example.org",)
    assert config.server.data_dir == empty / "data"
    assert TlsStore(config.tls).info("example.org").names[0] == "example.org"
    assert "xmppd account add NAME@example.org" in done.out


def test_without_a_domain_it_is_localhost(empty, run):
    run("init")
    assert load_config(empty / "xmppd.toml").server.domains == ("localhost",)


def test_it_takes_several_domains(empty, run):
    run("init", "-d", "a.example", "-d", "b.example")
    config = load_config(empty / "xmppd.toml")
    assert config.server.domains == ("a.example", "b.example")
    assert {"a.example", "b.example"} <= set(TlsStore(config.tls).info("a.example").names)


def test_keys_are_for_their_owner_alone(empty, run):
    run("init")
    assert stat.S_IMODE((empty / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((empty / "data" / "key.pem").stat().st_mode) == 0o600


def test_what_it_wrote_sets_little_and_shows_all(empty, run):
    run("init")
    text = (empty / "xmppd.toml").read_text()
    assert set(tomllib.loads(text)["server"]) == {"domains", "data_dir"}
    assert '#listen = ["[::]:5222"]' in text


def test_a_second_time_it_changes_nothing(empty, run):
    run("init")
    before = (empty / "xmppd.toml").read_bytes()
    done = run("init", "--domain", "example.org")
    assert (done.code, done.err) == (1, "xmppd: xmppd.toml is here already; nothing was changed\n")
    assert (empty / "xmppd.toml").read_bytes() == before


def test_a_certificate_that_is_there_stays(empty, run):
    run("init")
    before = (empty / "data" / "certificate.pem").read_bytes()
    (empty / "xmppd.toml").unlink()
    assert run("init").code == 0
    assert (empty / "data" / "certificate.pem").read_bytes() == before


def test_a_domain_that_is_none_is_refused(empty, run):
    done = run("init", "--domain", "no domain")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert list(empty.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(empty, run):
    (empty / "data").write_text("a file")
    done = run("init")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert not (empty / "xmppd.toml").exists()
