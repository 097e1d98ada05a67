"""Who may do what with a node (XEP-0060 §4.1, §4.5).

    access model   who may read and subscribe, besides the owner, publishers and members
    open           everybody
    presence       who sees the account's presence
    roster         contacts who see it and are in one of the node's groups
    whitelist      nobody
    authorize      those whose subscription the owner has approved

An outcast may nothing, a publish-only one reads nothing.
"""

from dataclasses import dataclass

from codec.jid import JID
from xmppd.errors import StanzaError
from xmppd.pubsub.config import AUTHORIZE, OPEN, PRESENCE, ROSTER
from xmppd.pubsub.errors import pubsub_error
from xmppd.pubsub.node import MEMBER, NONE, OUTCAST, OWNER, PENDING, PUBLISH_ONLY, PUBLISHER, SUBSCRIBED, Node


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody, as the account sees them.

    Attributes:
        jid: full or bare.
        is_owner: the account itself.
        sees_presence: subscribed to the account's presence.
        groups: in which the account's roster has them.
    """

    jid: JID
    is_owner: bool = False
    sees_presence: bool = False
    groups: tuple[str, ...] = ()

    @property
    def bare(self) -> JID:
        """Their bare JID."""
        return self.jid.bare


def affiliation_of(node: Node, asker: Asker) -> str:
    """Return what somebody is to a node."""
    return OWNER if asker.is_owner else node.affiliations.get(asker.bare, NONE)


def subscription_of(node: Node, asker: Asker) -> str | None:
    """Return the state of somebody's subscription, of whatever resource; None without one."""
    found = {node.subscriptions.get(asker.bare), node.subscriptions.get(asker.jid)}
    return SUBSCRIBED if SUBSCRIBED in found else PENDING if PENDING in found else None


def read_error(node: Node, asker: Asker) -> StanzaError | None:
    """Return why somebody may not read a node (§6.5.9) or subscribe to it (§6.1.3); None when they may."""
    affiliation = affiliation_of(node, asker)
    if affiliation in (OWNER, PUBLISHER, MEMBER):
        return None
    if affiliation in (OUTCAST, PUBLISH_ONLY):
        return StanzaError("forbidden")
    model = node.config.access_model
    if model == OPEN:
        return None
    if model == PRESENCE:
        return None if asker.sees_presence else pubsub_error("not-authorized", "presence-subscription-required")
    if model == ROSTER:
        is_in = asker.sees_presence and not set(asker.groups).isdisjoint(node.config.roster_groups_allowed)
        return None if is_in else pubsub_error("not-authorized", "not-in-roster-group")
    if model == AUTHORIZE:
        if subscription_of(node, asker) == SUBSCRIBED:
            return None
        return pubsub_error("not-authorized", "not-subscribed")
    return pubsub_error("not-allowed", "closed-node")


def may_read(node: Node, asker: Asker) -> bool:
    """Whether somebody may read a node and be told of its changes."""
    return read_error(node, asker) is None


def may_publish(node: Node, asker: Asker) -> bool:
    """Whether somebody may publish (§7.1, `publish_model`)."""
    affiliation = affiliation_of(node, asker)
    if affiliation in (OWNER, PUBLISHER, PUBLISH_ONLY):
        return True
    if affiliation == OUTCAST:
        return False
    if node.config.publish_model == "open":
        return True
    return node.config.publish_model == "subscribers" and subscription_of(node, asker) == SUBSCRIBED
