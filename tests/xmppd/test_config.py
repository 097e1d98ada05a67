"""The settings: defaults, paths, and what the models refuse."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from codec.jid import JID
from xmppd.addresses import Address
from xmppd.config import Config
from xmppd.config_sources import setting_names

SOURCE = Path(__file__).parents[2]


def config(base: Path = Path("/srv"), **sections: object) -> Config:
    return Config.model_validate(sections, context={"base": base})


def test_every_section_has_defaults():
    assert config().server.domains == ("localhost",)
    assert config().limits.stanza_bytes_before_login == 10_000
    assert config().limits.stanza_bytes == 262_144


def test_paths_start_from_the_base_folder():
    settings = config(tls={"certificate": "a.crt"})
    assert settings.server.data_dir == Path("/srv/data")
    assert settings.tls.certificate == Path("/srv/a.crt")
    assert settings.control_path == Path("/srv/data/control.sock")


def test_absolute_paths_stay():
    assert config(server={"data_dir": "/var/lib/xmppd"}).server.data_dir == Path("/var/lib/xmppd")


def test_storage_is_in_the_data_folder_unless_set():
    assert config(server={"data_dir": "/x"}).storage_url == "sqlite:/x/xmppd.db"
    assert config(storage={"url": "sqlite:y/z.db"}).storage_url == "sqlite:/srv/y/z.db"


def test_unknown_storage_is_refused():
    with pytest.raises(ValidationError, match='"x" is not known'):
        config(storage={"url": "mysql://me:hunter2@x"})


def test_a_clusters_url_and_password_are_not_shown():
    settings = config(storage={"url": "cassandra://me:hunter2@a/b", "password": "hunter2", "replicas": {"east": 3}})
    assert settings.storage_url == "cassandra://me:hunter2@a/b"
    assert "hunter2" not in repr(settings)


def test_addresses_are_parsed():
    assert config(c2s={"listen": ["[::]:5222", "127.0.0.1:0"]}).c2s.listen == (
        Address("::", 5222),
        Address("127.0.0.1", 0),
    )


def test_one_text_stands_for_a_list_of_one():
    assert config(c2s={"listen": "127.0.0.1:1"}).c2s.listen == (Address("127.0.0.1", 1),)


def test_domains_and_jids_are_prepared():
    settings = config(server={"domains": ["EXAMPLE.org"]}, admin={"jids": ["Romeo@EXAMPLE.org"]})
    assert settings.server.domains == ("example.org",)
    assert settings.admin.jids == (JID("romeo@example.org"),)


def test_a_broken_jid_is_refused():
    with pytest.raises(ValidationError, match="localpart is empty"):
        config(admin={"jids": ["@example.org"]})


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        config().server.drain_s = 3  # type: ignore[misc]


def test_without_certificate_direct_tls_is_off_unless_asked_for():
    assert config().c2s.direct_tls == ()
    assert config(tls={"certificate": "a"}).c2s.direct_tls == (Address("::", 5223),)


def test_tls_without_certificate_is_a_contradiction():
    assert len(config().contradictions()) == 1
    assert config(c2s={"require_tls": False}).contradictions() == []
    assert "direct_tls" in config(c2s={"require_tls": False, "direct_tls": "[::]:5223"}).contradictions()[0]


def test_proxy_protocol_names_a_listener():
    ok = {"require_tls": False, "listen": "127.0.0.1:1", "proxy_protocol": "127.0.0.1:1"}
    assert config(c2s=ok).contradictions() == []
    assert "neither" in config(c2s=ok | {"proxy_protocol": "127.0.0.1:2"}).contradictions()[0]


def test_a_domain_may_have_its_own_certificate():
    own = {"certificate": "b.crt", "key": "b.key"}
    tls = config(tls={"certificate": "a.pem", "domains": {"B.example": own}}).tls
    assert tls.files_for("b.example") == (Path("/srv/b.crt"), Path("/srv/b.key"))
    assert tls.files_for("a.example") == (Path("/srv/a.pem"), Path("/srv/a.pem"))
    assert config().tls.files_for("a.example") is None


def test_modules_can_be_added_and_left_out():
    usual = config().module_names
    assert config(modules={"enabled": ["x.y", "x.y"]}).module_names == (*usual, "x.y")
    if usual:
        assert usual[0] not in config(modules={"disabled": [usual[0]]}).module_names


def test_every_setting_is_described():
    for section in Config.model_fields.values():
        for name, info in section.annotation.model_fields.items():  # type: ignore[union-attr]
            assert info.description, f"{section.annotation}: give {name} a description"


def test_every_setting_is_used():
    text = "\n".join(path.read_text() for path in SOURCE.glob("xmppd/**/*.py") if path.name != "config_sources.py")
    for name in setting_names(Config):
        section, _, key = name.partition(".")
        if key and section != "contacts":
            assert re.search(rf"\.{key}\b", text), f"nothing reads {name}: build it or take it out of xmppd/config.py"


def test_other_servers_are_served_when_there_is_a_certificate():
    assert config().s2s.listen == ()
    assert config(tls={"certificate": "a"}).s2s.listen == (Address("::", 5269),)
    assert config(s2s={"listen": "127.0.0.1:0"}).s2s.listen == (Address("127.0.0.1", 0),)
    ours = config(c2s={"require_tls": False}, s2s={"direct_tls": "[::]:5270"})
    assert ours.contradictions() == ["s2s.direct_tls needs tls.certificate"]


def test_the_resolver_is_an_address_or_the_system_s():
    assert config().s2s.resolver == Address("127.0.0.1", 53)
    assert config(s2s={"resolver": "[::1]:5353"}).s2s.resolver == Address("::1", 5353)
    assert config(s2s={"resolver": ""}).s2s.resolver is None
    with pytest.raises(ValidationError, match="named by its IP address"):
        config(s2s={"resolver": "localhost:53"})


@pytest.mark.parametrize("prefix", ["", "Rooms", "a.b", "x/", "rooms\n", "-_-"])
def test_prefix_of_rooms_is_one_label(prefix):
    assert config(rooms={"prefix": "chat-1"}).rooms.prefix == "chat-1"
    with pytest.raises(ValidationError):
        config(rooms={"prefix": prefix})
