"""URLs of clusters."""

import pytest

from storage.cassandra.settings import is_name, parse_url, without_secrets
from storage.interface import StorageError


def test_a_url_names_hosts_port_keyspace_and_login():
    settings = parse_url("cassandra://me:s%40cret@a.example,b.example:9999/chat?dc=east&consistency=quorum")
    assert settings.hosts == ("a.example", "b.example")
    assert (settings.port, settings.keyspace, settings.datacenter) == (9999, "chat", "east")
    assert (settings.user, settings.password, settings.consistency) == ("me", "s@cret", "QUORUM")


def test_what_a_url_leaves_out_has_defaults():
    settings = parse_url("cassandra://a/chat")
    assert (settings.port, settings.user, settings.password) == (9042, "", "")
    assert (settings.datacenter, settings.consistency) == ("", "LOCAL_QUORUM")


def test_ipv6_stands_in_brackets():
    settings = parse_url("cassandra://[::1],[2001:db8::1]:9043/chat")
    assert settings.hosts == ("::1", "2001:db8::1") and settings.port == 9043


def test_neither_text_nor_repr_shows_the_password():
    settings = parse_url("cassandra://me:hunter2@a/chat")
    assert "hunter2" not in f"{settings} {settings!r}"
    assert str(settings) == "cassandra://a:9042/chat"


@pytest.mark.parametrize(
    "url",
    [
        *("cassandra://", "cassandra://a", "cassandra:///chat", "cassandra://a:b/chat", "cassandra://a:0/chat"),
        *("cassandra://a:1,b/chat", "cassandra://a,,b/chat", "cassandra://a/Chat", "cassandra://a/_x", "sqlite:x"),
        *("cassandra://a/chat;drop", "cassandra://a/chat/more", "cassandra://a/chat?dc", "cassandra://a/chat?what=1"),
        *("cassandra://a/chat?consistency=some", "cassandra://a:70000/chat", f"cassandra://a/{'x' * 49}"),
        *("cassandra://u:hunter2@a:b/chat", "cassandra://u:hunter2@[a/chat"),
    ],
)
def test_another_form_is_refused_without_a_word_of_the_password(url):
    with pytest.raises(StorageError) as caught:
        parse_url(url)
    assert str(caught.value).startswith("storage.url") and "hunter2" not in str(caught.value)


def test_secrets_are_cut_out_of_any_url():
    assert without_secrets("cassandra://u:p@ss@a/b") == "cassandra://a/b"
    assert without_secrets("sqlite:x") == "sqlite:x"


def test_keyspaces_need_no_quotes():
    assert is_name("xmppd_1") and not is_name("1x") and not is_name("X") and not is_name("ä")
