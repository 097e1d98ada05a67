"""The life of a bound resource: it is bound, its stream may change, it ends (RFC 6120 §7)."""

from codec.stanza import Presence
from xmppd.errors import StanzaError
from xmppd.hooks import (
    PresenceChangedEvent,
    ResourceEvent,
    UndeliveredEvent,
    presence_changed,
    resource_bound,
    resource_ended,
    stanzas_undelivered,
)
from xmppd.host import Host
from xmppd.resource import Account, Resource, StreamLike


async def bind(account: Account, resourcepart: str, stream: StreamLike) -> Resource:
    """Bind a resource to a stream; one of the same name that is already there ends with <conflict/> (RFC 6120 §7.7.2.2).

    Raises:
        StanzaError: resource-constraint: the account has as many resources as it may have.
    """
    host: Host = account.host
    while (old := account.resources.get(resourcepart)) is not None:
        await end(old, "conflict")  # meanwhile another stream may have bound the same
    if len(account.resources) >= host.config.c2s.max_resources_per_account:
        raise StanzaError("resource-constraint", text="This account has as many connected clients as it may have.")
    resource = Resource(account.jid.with_resource(resourcepart), account, stream, host.delivered)
    account.resources[resourcepart] = resource
    host.wake(account)
    host.signal(resource_bound, ResourceEvent(resource))
    return resource


async def end(resource: Resource, reason: str = "", text: str | None = None) -> None:
    """End a resource for good: its contacts see it unavailable, what it did not acknowledge goes back.

    Args:
        reason: the stream error that its stream gets ("conflict", "not-authorized", ...); "" closes without one.
    """
    if resource.is_ended:
        return
    resource.is_ended = True
    account, host = resource.account, resource.account.host
    stream, resource.stream = resource.stream, None
    resource.tables = None
    if stream is not None:
        if reason:
            stream.end(reason, text)
        else:
            stream.close()
    if account.resources.get(resource.jid.resourcepart) is resource:
        del account.resources[resource.jid.resourcepart]
    if not account.resources:
        host.rest(account)
    if resource.presence is not None:
        gone = Presence(None, resource.jid, None, "unavailable")
        resource.presence = None
        await host.signal_waiting(presence_changed, PresenceChangedEvent(resource, True, gone))
    if resource.acks is not None and resource.acks.unacked:
        unacked = resource.acks.give_up()
        await host.signal_waiting(stanzas_undelivered, UndeliveredEvent(resource, unacked))
    host.signal(resource_ended, ResourceEvent(resource, reason))
