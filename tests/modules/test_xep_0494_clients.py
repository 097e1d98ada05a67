"""XEP-0494: what is known of a client, and how it is told."""

from xmppd.modules.xep_0494_clients import NS, Client, Seen, element_of, moment


def test_moments_are_in_utc():
    assert moment(1_767_323_045) == "2026-01-02T03:04:05Z"


def test_client_that_never_came_is_access_and_not_a_session():
    told = element_of(Client("id", "agent", Seen(0, 0), (), has_password=False, has_token=True))
    assert (told.get("type"), told.get("connected"), told.get("id")) == ("access", "false", "id")
    assert [el.name for el in told.elements()] == ["auth", "permission", "user-agent"]
    assert [el.name for el in told.find(f"{NS} auth").elements()] == ["fast"]


def test_client_is_told_with_what_it_says_and_not_from_where_it_came():
    seen = Seen(1, 2, "Gajim", "laptop", "192.0.2.7", "note")
    told = element_of(Client("id", "agent", seen, (), has_password=True, has_token=False))
    assert [el.text for el in told.find(f"{NS} user-agent").elements()] == ["Gajim", "laptop"]
    assert b"192.0.2.7" not in told.to_xml() and b"note" not in told.to_xml() and b'agent"' not in told.to_xml()
