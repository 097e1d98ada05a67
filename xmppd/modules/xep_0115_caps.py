"""XEP-0115: Entity Capabilities.

The server tells its own capabilities in its stream features. What clients can do it learns when a module asks for it, and not before:
`features_of` looks, `discover` asks the client. An answer is kept for all clients that name the same hash only when the hash of the
answer is that one (§5.4), so that no client can speak for another.
"""

import asyncio
import base64
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from codec.element import Element
from codec.jid import JID
from codec.payload import Payload, PayloadError, attr
from codec.payloads.data_form import FORM_TYPE, Form
from codec.payloads.disco import Info
from codec.stanza import IQ, Presence
from xmppd.hooks import DiscoEvent, FeaturesEvent, disco_info, stream_features
from xmppd.host import Host
from xmppd.module import Module, on
from xmppd.modules.xep_0030_disco import DiscoModule
from xmppd.resource import Resource

NS = "http://jabber.org/protocol/caps"
NODE = "urn:xmppd"
"""What our capabilities are called; with "#" and the hash behind it, disco#info tells them."""

HASHES = {"sha-1": "sha1", "sha-224": "sha224", "sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}
"""IANA's names of hash functions, and Python's."""

TIMEOUT_S = 30.0
"""How long a client may take to say what it can do."""
MAX_ASKED = 50
"""Clients asked at one time."""
MAX_KNOWN = 1_000
"""Answers that are kept; people use a few dozen versions of clients."""
MAX_ANSWER_BYTES = 16_384
"""Of features in one answer; real clients send 2 to 4 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities(Payload, tag=(NS, "c")):
    """What a presence says of its sender's software (§4). Without `hash` it is of a form before version 1.4, and says nothing."""

    hash: str = attr(required=True)
    node: str = attr(required=True)
    ver: str = attr(required=True)


class Key(NamedTuple):
    """What an answer is kept under: it needs no node, since it is proven by the hash."""

    hash: str
    ver: str


@dataclass(slots=True)
class Known:
    """What is known of one resource, here or elsewhere.

    Attributes:
        presence: which said it.
        capabilities: what it said.
        features: its own answer, where no hash can prove it (§5.4, 2).
        is_useless: it was asked and gave no good answer.
    """

    presence: Presence | None = None
    capabilities: Capabilities | None = None
    features: frozenset[str] | None = None
    is_useless: bool = False

    def note(self, presence: Presence) -> None:
        """Take what a presence of that client says."""
        self.presence = presence
        try:
            capabilities = presence.get(Capabilities)
        except PayloadError:
            capabilities = None
        if capabilities != self.capabilities:
            self.capabilities, self.features, self.is_useless = capabilities, None, False


class CapsModule(Module, xep=115, features=(NS,), requires=(DiscoModule,)):
    """Tell the server's capabilities; find out the clients'."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._disco = host.module(DiscoModule)
        self._own: Element | None = None
        self._known: OrderedDict[Key, frozenset[str]] = OrderedDict()
        self._asking: dict[Key, asyncio.Event] = {}
        self._places = asyncio.Semaphore(MAX_ASKED)

    # the server's own

    @on(stream_features)
    def offer(self, event: FeaturesEvent) -> None:
        """Tell those who have logged in what the server can do (§6.3)."""
        if event.is_authenticated:
            event.features.append(self.own())

    def own(self) -> Element:
        """Return the server's <c/>; nothing that it tells changes while it runs."""
        if self._own is None:
            ver = verification_string(self._disco.info(), "sha-1") or ""
            self._own = Element(Capabilities.TAG, {"hash": "sha-1", "node": NODE, "ver": ver})
        return self._own

    @on(disco_info)
    def tell(self, event: DiscoEvent) -> None:
        """Answer disco#info for the node that <c/> names as for the domain itself (§6.2)."""
        if event.account is None and event.node is not None and event.node == f"{NODE}#{self.own().get('ver')}":
            info = self._disco.info()
            event.features.extend(info.features)
            event.identities.extend(info.identities)
            event.forms.extend(info.forms)

    # the clients'

    def features_of(self, resource: Resource) -> frozenset[str] | None:
        """Return what a client can do, as far as it is known now; None when it is not."""
        known = _known_of(resource)
        return None if known is None else self.features_for(known)

    def features_for(self, known: Known) -> frozenset[str] | None:
        """Return what a client can do of which this is known; None when that is not enough."""
        if known.capabilities is None:
            return None
        key = Key(known.capabilities.hash, known.capabilities.ver)
        features = self._known.get(key)
        if features is None:
            return known.features
        self._known.move_to_end(key)
        return features

    async def discover(self, resource: Resource) -> frozenset[str] | None:
        """Return what a client can do, asking it when nobody with the same hash has told yet; None when it cannot be found out.

        The client's answer comes over its stream: to wait for it while that stream waits for the caller ends only with the timeout.
        Handlers of what the client itself sends use `host.spawn`.
        """
        while True:
            features = self.features_of(resource)
            known = _known_of(resource)
            if features is not None or known is None or known.capabilities is None or known.is_useless:
                return features
            await self._ask_once(resource.jid, known, known.capabilities, self.host.domain)

    async def discover_for(self, jid: JID, known: Known, asker: JID) -> frozenset[str] | None:
        """Return what a client elsewhere can do, as `discover`; `asker` is the account that it has sent presence."""
        while True:
            features = self.features_for(known)
            if features is not None or known.capabilities is None or known.is_useless:
                return features
            await self._ask_once(jid, known, known.capabilities, asker)

    async def _ask_once(self, jid: JID, known: Known, capabilities: Capabilities, asker: JID) -> None:
        """Ask one client, or wait for the answer of another that names the same hash."""
        key = Key(capabilities.hash, capabilities.ver)
        other = self._asking.get(key)
        if other is not None:
            await other.wait()
            return
        self._asking[key] = done = asyncio.Event()
        try:
            await self._ask(jid, known, capabilities, asker)
        finally:
            del self._asking[key]
            done.set()

    async def _ask(self, jid: JID, known: Known, capabilities: Capabilities, asker: JID) -> None:
        """Ask one client and note the answer: for all with its hash, or for it alone."""
        node = f"{capabilities.node}#{capabilities.ver}"
        request = IQ.build(Info(node=node), to=jid, from_=asker, type="get", id=self.host.ids.token())
        answer = None
        async with self._places:
            try:
                answer = await self.host.request(request, TIMEOUT_S)
            except TimeoutError:
                self.host.log.debug("caps_unanswered", jid=str(jid), node=node)
        is_good = answer is not None and self._take(answer, known, capabilities)
        if known.capabilities is capabilities:
            known.is_useless = not is_good

    def _take(self, answer: IQ, known: Known, capabilities: Capabilities) -> bool:
        """Keep an answer; return whether it is a good one."""
        try:
            info = answer.get(Info) if answer.type == "result" else None
        except PayloadError:
            return False
        if info is None or sum(map(len, info.features)) > MAX_ANSWER_BYTES:
            return False
        features = frozenset(info.features)
        if capabilities.hash not in HASHES:
            if known.capabilities is capabilities:
                known.features = features
            return True
        if verification_string(info, capabilities.hash) != capabilities.ver:
            return False
        self._known[Key(capabilities.hash, capabilities.ver)] = features
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return True


def _known_of(resource: Resource) -> Known | None:
    """Return what is known of a resource by its present presence; None when it is not available."""
    presence = resource.presence
    if presence is None:
        return None
    known = resource.state(Known)
    if known.presence is not presence:
        known.note(presence)
    return known


def verification_string(info: Info, hash_name: str) -> str | None:
    """Return the hash of an answer to disco#info (§5.1), in base64.

    Args:
        hash_name: one of `HASHES`.

    Returns:
        None when the answer is ill-formed (§5.4, 3): something stands there twice, a form has two types; or when a text holds
        "<", which parts one text from the next, so that another answer could have the same hash.
    """
    identities = [(one.category, one.type, one.lang or "", one.name or "") for one in info.identities]
    forms = [(form_type, form) for form in info.forms if (form_type := form.form_type) is not None]
    lists: list[list[object]] = [[*identities], [*info.features], [form_type for form_type, _ in forms]]
    if any(len(set(one)) != len(one) for one in lists):
        return None
    if any(len({*form.values(FORM_TYPE)}) > 1 for _, form in forms):
        return None
    texts = ["/".join(identity) for identity in sorted(identities)]
    texts += sorted(info.features)
    for form_type, form in sorted(forms, key=lambda pair: pair[0]):
        texts += [form_type, *_texts(form)]
    if any("<" in text for text in texts):
        return None
    data = "".join(f"{text}<" for text in texts).encode()
    return base64.b64encode(hashlib.new(HASHES[hash_name], data).digest()).decode()


def _texts(form: Form) -> list[str]:
    """Return the names and values of a form's fields, in the order in which they are hashed."""
    found = []
    for var, values in sorted((field.var, sorted(field.values)) for field in form.fields if field.var is not None):
        if var != FORM_TYPE:
            found += [var, *values]
    return found
