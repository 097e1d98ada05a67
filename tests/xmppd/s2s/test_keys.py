"""Keys of dialback: the example of XEP-0185, and that nothing else passes."""

import pytest

from xmppd.s2s.keys import DialbackKeys

KEYS = DialbackKeys(b"s3cr3tf0rd14lb4ck")
STREAM = ("montague.example", "capulet.example", "D60000229F")


def test_key_is_that_of_the_documents_example() -> None:
    receiving, originating, id_ = "xmpp.example.com", "example.org", "D60000229F"
    assert KEYS.make(receiving, originating, id_) == "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643"


def test_key_is_known_again_with_space_around_it() -> None:
    assert KEYS.is_ours(f"\n {KEYS.make(*STREAM)} ", *STREAM)


@pytest.mark.parametrize("key", ["", "é", "0" * 64, KEYS.make(*STREAM)[:-1], KEYS.make(*STREAM) + "0"])
def test_other_keys_are_not_ours(key: str) -> None:
    assert not KEYS.is_ours(key, *STREAM)


def test_key_is_for_one_stream_and_pair_of_domains_under_one_secret() -> None:
    key = KEYS.make(*STREAM)
    for index in range(3):
        other = [*STREAM]
        other[index] += "x"
        assert not KEYS.is_ours(key, *other)
    assert not DialbackKeys(b"another").is_ours(key, *STREAM)
