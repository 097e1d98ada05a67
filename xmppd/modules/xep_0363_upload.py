"""XEP-0363: HTTP File Upload, on `upload.` of each virtual host: gives out slots.

What slots are, and where files go, is in `xmppd/uploads/`; what takes and gives their bytes is in `xmppd/web/uploads.py`. Only the
accounts of this host get slots here; anyone may read what they share.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from codec.element import Element
from codec.jid import JID
from codec.payload import Payload, PayloadError, attr
from codec.payloads.data_form import Form
from codec.payloads.disco import NS_INFO, NS_ITEMS, Identity, Info, Item, Items
from codec.stanza import IQ, Message, Stanza
from codec.values import format_datetime, int_between
from storage.interface import Commit, StorageError
from xmppd.errors import StanzaError, error_reply
from xmppd.hooks import AccountEvent, DiscoItemsEvent, account_deleted, disco_items
from xmppd.host import Host
from xmppd.module import Module, on
from xmppd.uploads.ledger import OverQuota
from xmppd.uploads.opening import open_uploads
from xmppd.uploads.service import TooLarge, Uploads
from xmppd.uploads.store import MediaError

NS = "urn:xmpp:http:upload:0"
PING = "urn:xmpp:ping ping"
MAX_NAME_CHARS = 4_000
"""Names on disks are 255 bytes at most; what is far longer is no name."""

MAX_WAITING = 1_000
"""Requests for slots that wait for storage at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Payload, tag=(NS, "request")):
    """A wish for a slot (§4); `size` in bytes."""

    filename: str = attr(required=True)
    size: int = attr(parse=int_between(0, 2**63 - 1), required=True)
    content_type: str | None = attr()


class UploadModule(Module, xep=363):
    """Give out slots.

    Attributes:
        domain: of the service.
    """

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.domain = JID.parse(f"{host.config.media.prefix}.{host.domain}")
        self._waiting = 0
        self._serves = False

    async def start(self) -> None:
        """Open the uploads, unless another host has, and take what is for the service."""
        shared = self.host.shared
        if not self.host.config.media.enabled or not self.host.config.http.listen:
            return
        if shared.uploads is None:
            host = self.host
            shared.uploads = await open_uploads(host.config, host.backend, host.clock, host.metrics, host.log)
            host.spawn(shared.uploads.keep_swept())
        shared.components.add(self.domain, self)
        self._serves = True

    @property
    def _uploads(self) -> Uploads:
        uploads = self.host.shared.uploads
        assert uploads is not None, "start() has opened them"
        return uploads

    @on(disco_items)
    def list(self, event: DiscoItemsEvent) -> None:
        """List the service under the domain (§3)."""
        if event.account is None and event.node is None and self._serves:
            event.items.append(Item(jid=self.domain, name="File upload"))

    @on(account_deleted)
    async def forget(self, event: AccountEvent) -> None:
        """The files go with their account."""
        if not self._serves:
            return
        try:
            await self._uploads.forget(event.jid)
        except (MediaError, StorageError) as error:
            self.host.log.error("media_not_removed", jid=str(event.jid), reason=str(error))

    # what comes

    def take(self, stanza: Stanza) -> Commit | None:
        """Take a stanza for the service; see `xmppd.component.Component`."""
        if not isinstance(stanza, IQ):
            if isinstance(stanza, Message):
                raise StanzaError("service-unavailable")
            return None
        if stanza.type in ("result", "error"):
            return None
        tag = stanza.tags[0] if len(stanza.tags) == 1 else ""
        if stanza.from_ is None or stanza.to is None or not tag or not stanza.id:
            raise StanzaError("bad-request", text="A request has a sender and an id and carries exactly one payload.")
        if stanza.to.localpart or stanza.type != "get":
            raise StanzaError("service-unavailable")
        try:
            if tag == Request.TAG:
                return self._begin(stanza)
            self._send(self._tell(stanza, tag))
        except PayloadError as error:
            raise StanzaError("bad-request", text=str(error)) from error
        return None

    def _tell(self, iq: IQ, tag: str) -> IQ:
        """Answer what every service answers."""
        if tag == PING:
            return iq.reply()
        if tag == Info.TAG and (info := iq.get(Info)) is not None:
            if info.node is not None:
                raise StanzaError("item-not-found")
            return iq.reply(self._info())
        if tag == Items.TAG and (items := iq.get(Items)) is not None:
            return iq.reply(Items(node=items.node))
        raise StanzaError("service-unavailable")

    def _info(self) -> Info:
        identity = Identity(category="store", type="file", name="File upload")
        form = Form.result(NS, {"max-file-size": self._uploads.rules.max_bytes})
        return Info(identities=(identity,), features=(NS_INFO, NS_ITEMS, NS, "urn:xmpp:ping"), forms=(form,))

    # slots

    def _begin(self, iq: IQ) -> Commit:
        """Check what can be checked at once, then get the slot; the request is taken when it is answered."""
        assert iq.from_ is not None
        request = iq.get(Request)
        assert request is not None
        if not iq.from_.localpart or iq.from_.domainpart != self.host.domain:
            raise StanzaError("not-allowed", text="Only accounts of this server may upload here.")
        if not request.filename or len(request.filename) > MAX_NAME_CHARS:
            raise StanzaError("bad-request", text="The file has no name, or one that is far too long.")
        if request.size < 1:
            raise StanzaError("bad-request", text="An empty file cannot be uploaded.")
        if self._waiting >= MAX_WAITING:
            raise StanzaError("resource-constraint", text="Too many ask for slots; try again in a moment.")
        commit = Commit()
        self._waiting += 1
        self.host.spawn(self._answer(iq, request, commit))
        return commit

    async def _answer(self, iq: IQ, request: Request, commit: Commit) -> None:
        try:
            reply: Stanza | None = iq.reply(await self._slot(iq, request))
        except StanzaError as error:
            reply = error_reply(iq, error)
        finally:
            self._waiting -= 1
            commit.finish()
        assert reply is not None
        await self.host.send(reply)

    async def _slot(self, iq: IQ, request: Request) -> Element:
        assert iq.from_ is not None
        owner, type_ = iq.from_.bare, request.content_type or ""
        try:
            put, get = await self._uploads.slot(owner, self.host.domain, request.filename, request.size, type_)
        except TooLarge:
            raise self._too_large() from None
        except OverQuota as error:
            self.host.metrics.media["over quota"] += 1
            raise StanzaError("resource-constraint", text=str(error), app=_retry(error.retry_s)) from error
        except (StorageError, MediaError) as error:
            self.host.log.error("slot_not_given", reason=str(error))
            raise StanzaError("resource-constraint", text="The server cannot keep files now.") from error
        return Element(f"{NS} slot", {}, (Element(f"{NS} put", {"url": put}), Element(f"{NS} get", {"url": get})))

    def _too_large(self) -> StanzaError:
        most = self._uploads.rules.max_bytes
        size = Element(f"{NS} max-file-size", {}, (str(most),))
        app = Element(f"{NS} file-too-large", {}, (size,))
        return StanzaError("not-acceptable", text=f"A file may have {most} bytes at most.", app=app)

    def _send(self, stanza: Stanza) -> None:
        waiting = self.host.route(stanza)
        if waiting is not None:
            self.host.spawn(waiting)


def _retry(at_s: int | None) -> Element | None:
    """Return when it may be tried again (§5)."""
    if at_s is None:
        return None
    return Element(f"{NS} retry", {"stamp": format_datetime(datetime.fromtimestamp(at_s, UTC))})
