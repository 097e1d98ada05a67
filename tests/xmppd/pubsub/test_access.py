"""Who may do what with a node."""

import pytest

from codec.jid import JID
from xmppd.pubsub.access import Asker, affiliation_of, may_publish, may_read, read_error, subscription_of
from xmppd.pubsub.config import NodeConfig
from xmppd.pubsub.node import Node

OWNER = Asker(JID("romeo@example.org/orchard"), is_owner=True)
STRANGER = Asker(JID("tybalt@example.org/hall"))
CONTACT = Asker(JID("juliet@example.org/balcony"), sees_presence=True, groups=("Friends",))
WATCHED = Asker(JID("nurse@example.org/room"), sees_presence=False, groups=("Friends",))


def node(model: str = "presence", affiliations: dict[str, str] | None = None, **more: object) -> Node:
    return Node("n", NodeConfig(access_model=model, **more), affiliations or {})  # type: ignore[arg-type]


def why(model: str, asker: Asker, **more: object) -> str:
    error = read_error(node(model, **more), asker)  # type: ignore[arg-type]
    if error is None:
        return ""
    return "/".join(child.name for child in error.to_element().elements())


def test_open_node_is_read_by_everybody() -> None:
    assert why("open", STRANGER) == why("open", CONTACT) == ""


def test_presence_node_is_read_by_those_who_see_the_presence() -> None:
    assert why("presence", CONTACT) == ""
    assert why("presence", STRANGER) == why("presence", WATCHED) == "not-authorized/presence-subscription-required"


def test_roster_node_is_read_by_those_in_the_groups_who_see_the_presence() -> None:
    assert why("roster", CONTACT, roster_groups_allowed=("Friends", "Others")) == ""
    assert why("roster", CONTACT, roster_groups_allowed=("Others",)) == "not-authorized/not-in-roster-group"
    assert why("roster", WATCHED, roster_groups_allowed=("Friends",)) == "not-authorized/not-in-roster-group"


def test_whitelist_node_is_read_by_members_alone() -> None:
    assert why("whitelist", CONTACT) == "not-allowed/closed-node"
    assert may_read(node("whitelist", {CONTACT.bare: "member"}), CONTACT)
    assert may_read(node("whitelist", {CONTACT.bare: "publisher"}), CONTACT)


def test_authorize_node_is_read_by_those_who_were_approved() -> None:
    found = node("authorize")
    assert why("authorize", CONTACT) == "not-authorized/not-subscribed"
    found.subscriptions[CONTACT.bare] = "pending"
    assert not may_read(found, CONTACT)
    found.subscriptions[CONTACT.bare] = "subscribed"
    assert may_read(found, CONTACT) and not may_read(found, STRANGER)


@pytest.mark.parametrize("model", ["open", "presence", "roster", "whitelist", "authorize"])
def test_owner_reads_and_publishes_whatever_the_model(model: str) -> None:
    assert may_read(node(model), OWNER) and may_publish(node(model), OWNER)


@pytest.mark.parametrize("affiliation", ["outcast", "publish-only"])
def test_outcast_and_publish_only_read_nothing(affiliation: str) -> None:
    error = read_error(node("open", {CONTACT.bare: affiliation}), CONTACT)
    assert error is not None and error.condition == "forbidden"


def test_publishing_is_for_publishers_unless_the_node_says_otherwise() -> None:
    assert not may_publish(node("open"), CONTACT)
    assert may_publish(node("open", {CONTACT.bare: "publisher"}), CONTACT)
    assert may_publish(node("open", {CONTACT.bare: "publish-only"}), CONTACT)
    assert not may_publish(node("open", {CONTACT.bare: "member"}), CONTACT)
    assert may_publish(node("open", publish_model="open"), STRANGER)
    assert not may_publish(node("open", {STRANGER.bare: "outcast"}, publish_model="open"), STRANGER)


def test_subscribers_publish_where_the_node_says_so() -> None:
    found = node("open", publish_model="subscribers")
    assert not may_publish(found, CONTACT)
    found.subscriptions[CONTACT.jid] = "subscribed"
    assert may_publish(found, CONTACT) and not may_publish(found, STRANGER)


def test_subscription_of_a_resource_and_of_the_bare_jid_both_count() -> None:
    found = node()
    assert subscription_of(found, CONTACT) is None
    found.subscriptions[CONTACT.jid] = "pending"
    assert subscription_of(found, CONTACT) == "pending"
    found.subscriptions[CONTACT.bare] = "subscribed"
    assert subscription_of(found, CONTACT) == "subscribed"


def test_account_itself_is_the_owner_and_others_what_the_list_says() -> None:
    found = node(affiliations={CONTACT.bare: "member"})
    assert [affiliation_of(found, one) for one in (OWNER, CONTACT, STRANGER)] == ["owner", "member", "none"]
