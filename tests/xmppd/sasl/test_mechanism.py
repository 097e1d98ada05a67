"""What the mechanisms share."""

import pytest

from xmppd.errors import SaslError
from xmppd.sasl.mechanism import check_authzid, decode, prepare_username


@pytest.mark.parametrize(("raw", "localpart"), [(b"Romeo", "romeo"), ("JÜRGEN".encode(), "jürgen")])
def test_user_name_becomes_a_localpart(raw, localpart):
    assert prepare_username(raw) == localpart


@pytest.mark.parametrize(
    ("raw", "condition"),
    [
        (b"\xff", "malformed-request"),
        (b"\xed\xa0\x80", "malformed-request"),
        (b"", "not-authorized"),
        (b"a/b", "not-authorized"),
        (b"x" * 1024, "not-authorized"),
        ("ä".encode() * 1023, "not-authorized"),
    ],
)
def test_user_name_that_no_account_can_have_is_refused(raw, condition):
    with pytest.raises(SaslError) as caught:
        prepare_username(raw)
    assert caught.value.condition == condition


@pytest.mark.parametrize("raw", [b"", b"romeo@example.org", b"ROMEO@EXAMPLE.ORG."])
def test_own_bare_jid_is_the_only_authzid(raw):
    check_authzid(raw, "romeo", "example.org")


@pytest.mark.parametrize("raw", [b"example.org", b"romeo@example.org/balcony", b"juliet@example.org", b"@@"])
def test_other_authzid_is_invalid(raw):
    with pytest.raises(SaslError) as caught:
        check_authzid(raw, "romeo", "example.org")
    assert caught.value.condition == "invalid-authzid"


def test_text_is_utf_8():
    assert decode("ä".encode()) == "ä"
    with pytest.raises(SaslError):
        decode(b"\xe4")
