"""XEP-0060's errors."""

import pytest

from codec.payloads.pubsub import NS_ERRORS
from xmppd.errors import StanzaError
from xmppd.pubsub.errors import name_of, no_node, pubsub_error, unsupported


def names(error: StanzaError) -> list[str]:
    return [child.tag.rpartition(" ")[2] for child in error.to_element().elements()]


def test_own_condition_stands_beside_the_general_one() -> None:
    error = pubsub_error("conflict", "precondition-not-met")
    assert names(error) == ["conflict", "precondition-not-met"]
    assert error.to_element().elements()[1].ns == NS_ERRORS


def test_error_without_one_of_its_own_is_a_plain_one() -> None:
    assert names(pubsub_error("forbidden")) == ["forbidden"]
    assert names(no_node()) == ["item-not-found", "text"]


def test_what_is_not_supported_is_named() -> None:
    own = unsupported("subscription-options").to_element().elements()[1]
    assert own.name == "unsupported" and own.get("feature") == "subscription-options"


@pytest.mark.parametrize("node", [None, ""])
def test_request_that_names_no_node_is_a_bad_request(node: str | None) -> None:
    with pytest.raises(StanzaError) as caught:
        name_of(node)
    assert names(caught.value) == ["bad-request", "text", "nodeid-required"]


def test_name_of_a_node_is_returned() -> None:
    assert name_of("urn:x") == "urn:x"
