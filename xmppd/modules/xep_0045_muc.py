"""XEP-0045: Multi-User Chat, on `conference.` of each virtual host.

The rooms themselves are in `xmppd/rooms/`; this file gives them what they need of the server. Other modules require this one and
add to what rooms can do by `extensions`: XEP-0313, 0317, 0425, 0486.
"""

from codec.jid import JID
from codec.payloads.disco import Item
from codec.stanza import Message
from storage.interface import KeyValStore, MapStore
from xmppd.hooks import (
    AbsentEvent,
    AccountEvent,
    DiscoItemsEvent,
    account_deleted,
    disco_items,
    room_message_for_absent,
    server_stops,
)
from xmppd.host import Host
from xmppd.module import Module, on
from xmppd.modules.xep_0191_blocking import BlockList
from xmppd.modules.xep_0334_hints import is_lasting
from xmppd.resource import Account
from xmppd.rooms.outlet import Outlet
from xmppd.rooms.room import Extensions, Room, Surroundings
from xmppd.rooms.service import RoomService
from xmppd.rooms.storing import Store


class RoomsModule(
    Module, xep=45, stores={"rooms": KeyValStore, "people": MapStore, "index": MapStore, "secret": KeyValStore}
):
    """Serve rooms.

    Attributes:
        extensions: what other modules add to every room.
        domain: of the rooms.
        service: the component; None where rooms are off.
    """

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.extensions = Extensions()
        self.domain = JID.parse(f"{host.config.rooms.prefix}.{host.domain}")
        self.service: RoomService | None = None

    async def start(self) -> None:
        """Read the list of rooms, and take what is for them."""
        if not self.host.config.rooms.enabled:
            return
        store = Store(self.host.backend, self.domain, self.stores["rooms"], self.stores["people"], self.stores["index"])
        await store.open()
        world = self._surroundings(store, await self._secret())
        self.service = RoomService(world, store, self.host.spawn, self.host.log)
        world.vanish = self.service.vanish
        self.host.shared.components.add(self.domain, self.service)

    @on(account_deleted)
    async def forget(self, event: AccountEvent) -> None:
        """Rooms forget who is gone, but whom they have banned."""
        if self.service is not None:
            await self.service.forget_person(event.jid)

    @on(server_stops)
    def close(self, _: None) -> None:
        """Tell all who are in rooms that the service ends, before they leave one after another for each other to see."""
        if self.service is not None:
            self.service.close()

    def _surroundings(self, store: Store, secret: bytes) -> Surroundings:
        host = self.host
        return Surroundings(
            domain=self.domain,
            secret=secret,
            settings=host.config.rooms,
            clock=host.clock,
            ids=host.ids,
            archive=host.archive,
            archive_ids=host.archive_ids,
            outlet=Outlet(host.shared, blocks if BlockList in host.part_loaders else None),
            keeper=store,
            may_archive=host.config.archive.enabled,
            is_lasting=is_lasting,
            is_admin=lambda bare: bare in host.config.admin.jids,
            is_ours=lambda domain: domain in host.shared.hosts,
            tell_absent=self._tell_absent,
            vanish=lambda room: None,
            later=host.call_later,
            extensions=self.extensions,
        )

    async def _secret(self) -> bytes:
        """Return what occupant ids are made with (XEP-0421); it stays the same over restarts."""
        secret: bytes | None = await self.stores["secret"].get(self.domain)
        if secret is None:
            secret = "".join(self.host.ids.token() for _ in range(3)).encode()
            await self.stores["secret"].set(self.domain, secret)
        return secret

    def _tell_absent(self, room: Room, message: Message, absent: tuple[JID, ...], id_: int) -> None:
        self.host.signal(room_message_for_absent, AbsentEvent(room.jid, message, absent, id_))

    @on(disco_items)
    def list(self, event: DiscoItemsEvent) -> None:
        """List the service under the domain (§6.1)."""
        if event.account is None and event.node is None and self.service is not None:
            event.items.append(Item(jid=self.domain, name="Rooms"))


def blocks(account: Account, jid: JID) -> bool:
    """Whether an account blocks an address (XEP-0191)."""
    blocked = account.part(BlockList)
    return bool(blocked.jids) and blocked.covers(jid)
