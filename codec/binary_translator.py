"""Between a client that speaks XML and a server that speaks the binary form: one connection's bytes, both ways.

Everything of the stream passes: headers (HELLO), features, login, stanzas, acknowledgements, errors, the end. A client that stays as
it is may so cross a thin link in binary, through `xmppd bridge` or within its own process (`codec/slixmpp_binary.py`).
"""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from codec import binary_frames as frames
from codec.binary_cbor import Malformed
from codec.binary_dictionary import Dictionary
from codec.binary_features import SeenFeatures
from codec.binary_head import Session
from codec.binary_reader import BINARY_NS, SM_NS, BinaryReader
from codec.binary_tables import Tables
from codec.binary_writer import BinaryWriter
from codec.element import Element
from codec.events import BadStanza, Event, StreamBroken, StreamClosed, StreamOpened
from codec.jid import JID, InvalidJID
from codec.limits import ReaderLimits
from codec.stanza import IQ
from codec.xml_parser import ParserPool
from codec.xml_reader import XmlReader
from codec.xml_writer import STREAMS_NS, XmlWriter

SASL_NS = "urn:ietf:params:xml:ns:xmpp-sasl"
SASL2_NS = "urn:xmpp:sasl:2"
FAST_NS = "urn:xmpp:fast:0"
BIND_NS = "urn:ietf:params:xml:ns:xmpp-bind"
STANZAS_NS = "urn:ietf:params:xml:ns:xmpp-stanzas"
FEATURES = f"{STREAMS_NS} features"
RESUME = f"{SM_NS} resume"
RESUMED = f"{SM_NS} resumed"

FROM_CLIENT = ReaderLimits()
FROM_SERVER = ReaderLimits(stanza_bytes=1_048_576, depth=128, attributes=512, children=20_000)
"""The server has more to say than it takes: it packs several of its clients' stanzas into one."""

MAX_RESUMABLE = 1_000

_NEVER = frozenset(
    ("urn:ietf:params:xml:ns:xmpp-tls starttls", f"{BINARY_NS} binary", "urn:xmpp:sasl-cb:0 sasl-channel-binding")
)
_ANSWERS = frozenset((f"{SM_NS} failed", f"{SASL2_NS} success", f"{SASL2_NS} failure"))
"""Besides <resumed/>, what a request to resume may be answered by."""

_MECHANISM_LISTS = frozenset((f"{SASL_NS} mechanisms", f"{SASL2_NS} authentication"))


@dataclass(slots=True)
class Known:
    """A resumable session: whose it is, its tables, and who uses these now (`Translator`; a reference to nobody when there is none)."""

    jid: JID
    tables: Tables | None
    user: Callable[[], "Translator | None"]


class Resumable:
    """What outlives a connection: whose each resumable session is, and the features that the servers had.

    A frame after <resumed/> leaves out a JID that only the session before was told.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, Known] = OrderedDict()
        self.features = SeenFeatures()

    def remember(self, id_: str, jid: JID, tables: Tables | None = None, user: "Translator | None" = None) -> None:
        """Keep the JID of a session, and its tables; the oldest session is forgotten when there are too many."""
        self._known[id_] = Known(jid, tables, _nobody if user is None else weakref.ref(user))
        self._known.move_to_end(id_)
        if len(self._known) > MAX_RESUMABLE:
            self._known.popitem(last=False)

    def get(self, id_: str | None) -> JID | None:
        """Return the JID of a session, None when it is not known."""
        known = self._known.get(id_ or "")
        return None if known is None else known.jid

    def take_tables(self, id_: str | None, user: "Translator") -> Tables | None:
        """Return the tables of a session that `user` is about to resume; whoever had them must not use them any more."""
        known = self._known.get(id_ or "")
        if known is None or known.tables is None:
            return None
        before = known.user()
        if before is not None and before is not user:
            before.part_from(known.tables)
        known.user = weakref.ref(user)
        return known.tables


def _nobody() -> None:
    """Stand for a user that is no more."""


@dataclass(slots=True)
class Output:
    """What is to be written: `to_server` in frames, `to_client` in XML; `is_over`: nothing comes after it."""

    to_server: list[bytes] = field(default_factory=list)
    to_client: list[bytes] = field(default_factory=list)
    is_over: bool = False


class Translator:
    """One connection.

    Args:
        dictionaries: by id, the one to speak with first.
        resumable: shared by all connections of a process.
        pool: of parsers, shared too; None makes one.
        filters_features: takes away what cannot work when the client has not the server's TLS itself.
    """

    def __init__(
        self,
        dictionaries: Mapping[bytes, Dictionary],
        resumable: Resumable,
        pool: ParserPool | None = None,
        filters_features: bool = True,
    ) -> None:
        self._dictionaries = dictionaries
        self._resumable = resumable
        self._filters_features = filters_features
        self.session = Session()
        self._xml = XmlReader(FROM_CLIENT, pool=pool)
        self._xml_writer = XmlWriter()
        self._binary = BinaryReader(FROM_SERVER, self.session, dictionaries)
        self._writer = BinaryWriter(next(iter(dictionaries.values())), self.session, takes_tables=True)
        self._tables: Tables | None = None
        self._asked_for: Tables | None = None
        self._header: StreamOpened | None = None
        self._has_answered = False
        self._head = b""
        self._rest = 0

    @property
    def reader(self) -> BinaryReader:
        """What reads the server's frames."""
        return self._binary

    @property
    def writer(self) -> BinaryWriter:
        """What writes ours."""
        return self._writer

    def close(self) -> None:
        """Read no more, and give back what reading needs."""
        self._xml.close()
        self._binary.close()
        if self._tables is not None:
            self._tables.sleep()

    def part_from(self, tables: Tables) -> None:
        """The session of these tables goes on with another connection."""
        if self._asked_for is tables:
            self._asked_for = None
        if self._tables is tables:
            self._tables = self._writer.tables = self._binary.tables = None

    def from_client(self, data: bytes) -> Output:
        """Take XML of the client."""
        output = Output()
        events = self._xml.feed(data)
        if not events and not data.strip() and self._header is not None and not self._xml.pending_bytes:
            output.to_server.append(self._writer.ping())
        for event in events:
            self._event_of_client(event, output)
        return output

    def _event_of_client(self, event: Event, output: Output) -> None:
        writer = self._writer
        if isinstance(event, StreamOpened):
            self._header = event
            output.to_server.append(self._hello())
        elif isinstance(event, StreamClosed):
            output.to_server.append(writer.close())
        elif isinstance(event, StreamBroken):
            self._break(event, output)
        elif isinstance(event, BadStanza):
            output.to_client.append(_refusal(event))
        elif isinstance(event, Element):
            self._element_of_client(event, output)
        else:
            output.to_server.append(writer.stanza(event))

    def _element_of_client(self, element: Element, output: Output) -> None:
        if element.tag == RESUME and self._resumable.get(element.get("previd")) is None:
            gone = Element(f"{SM_NS} failed", {}, (Element(f"{STANZAS_NS} item-not-found"),))
            output.to_client.append(gone.to_xml())
            return
        resume = element if element.tag == RESUME else _within_login(element)
        if resume is not None:
            self._ask_for_tables(resume, output)
        output.to_server.append(self._writer.element(element))

    def _ask_for_tables(self, resume: Element, output: Output) -> None:
        """Ask for the tables of a session; nothing is sent with any before we know which there are."""
        self._asked_for = tables = self._resumable.take_tables(resume.get("previd"), self)
        if tables is not None:
            self._writer.tables = None
            output.to_server.append(self._writer.claim(tables.request()))

    def _hello(self) -> bytes:
        header = self._header
        assert header is not None
        told = self._binary.told = self._resumable.features.tell(header.to or "")
        return self._writer.header(
            from_=header.from_, id_="", to=header.to, lang=header.lang or "en", features=told.hashes
        )

    def _break(self, broken: StreamBroken, output: Output) -> None:
        """End both streams; the client is told why."""
        self._answer(StreamOpened(), output)
        output.to_client += [self._xml_writer.error(broken.condition, broken.text), self._xml_writer.close()]
        if self._header is not None:
            output.to_server.append(self._writer.close())
        output.is_over = True

    def _answer(self, opened: StreamOpened, output: Output) -> None:
        """Give the client its answer to its header, if it has none yet."""
        if not self._has_answered:
            self._has_answered = True
            header = self._xml_writer.header(
                from_=opened.from_, id_=opened.id or "", to=opened.to, lang=opened.lang or "en"
            )
            output.to_client.append(header)

    def from_server(self, data: bytes) -> Output:
        """Take frames of the server."""
        output = Output()
        while data and not output.is_over:
            # until the client has a JID every frame may be the one that changes how the next one is read
            piece, data = (data, b"") if self.session.jid is not None else self._cut(data)
            try:
                for event in self._binary.feed(piece):
                    self._event_of_server(event, output)
            except Malformed as error:
                self._break(StreamBroken("undefined-condition", f"The server goes on with {error}."), output)
        return output

    def _cut(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the bytes that belong to the frame that is being read, and the rest."""
        if not self._rest:
            try:
                end = frames.end_of(self._head + data[: 1 + frames.MAX_VARINT_BYTES])
            except Malformed:
                return data, b""  # the reader says so too
            if end is None:
                self._head += data
                return data, b""
            self._rest = end - len(self._head)
            self._head = b""
        piece = data[: self._rest]
        self._rest -= len(piece)
        return piece, data[len(piece) :]

    def _event_of_server(self, event: Event, output: Output) -> None:
        if isinstance(event, StreamOpened):
            if self._binary.peer_takes_tables and self._tables is None:
                self._use(Tables(event.id or ""))
            self._answer(event, output)
        elif isinstance(event, StreamClosed):
            output.to_client.append(self._xml_writer.close())
            output.is_over = True
        elif isinstance(event, StreamBroken):
            self._break(StreamBroken("undefined-condition", f"The server's frames: {event.condition}."), output)
        elif isinstance(event, Element):
            self._element_of_server(event, output)
        elif not isinstance(event, BadStanza):
            if isinstance(event, IQ) and self.session.jid is None and event.type == "result":
                self._bound(event.element(f"{BIND_NS} bind"), f"{BIND_NS} jid")
            output.to_client.append(event.to_xml())

    def _element_of_server(self, element: Element, output: Output) -> None:
        tag = element.tag
        if tag == f"{BINARY_NS} retry":
            self._retry(element, output)
            return
        if tag == f"{BINARY_NS} unknown-dictionary":
            self._break(StreamBroken("undefined-condition", "The server speaks with an unknown dictionary."), output)
            return
        if tag == FEATURES:
            children = element.elements()
            if self._filters_features:
                children = tuple([kept for child in children for kept in _kept(child)])
            output.to_client.append(self._xml_writer.features(list(children)))
            return
        if tag == f"{STREAMS_NS} error":
            inner = b"".join([child.to_xml() for child in element.elements()])
            output.to_client.append(b"<stream:error>%b</stream:error>" % inner)
            return
        self._session_of(element)
        output.to_client.append(element.to_xml())
        if tag == f"{SASL_NS} success":
            self._xml.restart()
            self._binary.restart()
            self._has_answered = False

    def _session_of(self, element: Element) -> None:
        """See from what passes who the client is now, and with which tables its stream goes on."""
        if element.tag == f"{SASL2_NS} success":
            self._bound(element, f"{SASL2_NS} authorization-identifier")
        elif element.tag == RESUMED:
            jid = self._resumable.get(element.get("previd"))
            if jid is not None:
                self.session.bind(jid)
        enabled = element if element.tag == f"{SM_NS} enabled" else _enabled_within(element)
        if enabled is not None and (id_ := enabled.get("id")):
            self._remember(id_)
        resumed = element if element.tag == RESUMED else _within_success(element)
        if resumed is not None or element.tag in _ANSWERS:
            self._answered(resumed)

    def _answered(self, resumed: Element | None) -> None:
        """The server has told whether a session is resumed, and before that with TABLES whether its tables go on.

        Raises:
            Malformed: it goes on with tables that we have not.
        """
        asked_for, self._asked_for = self._asked_for, None
        claim, self._binary.claim = self._binary.claim, None
        if resumed is not None and claim is not None:
            if asked_for is None:
                raise Malformed("tables that nobody asked for")
            asked_for.go_on(claim)
            self._use(asked_for)
        elif self._tables is not None:
            self._use(self._tables)
        if resumed is not None:
            self._remember(resumed.get("previd") or "")

    def _use(self, tables: Tables) -> None:
        self._tables = tables
        self._binary.tables = tables.seen
        self._writer.tables = tables.sent if self._asked_for is None else None

    def _remember(self, id_: str) -> None:
        """Keep for the next connection what this session has."""
        if self.session.jid is not None:
            tables = self._tables
            is_kept = tables is not None and tables.name and self._binary.peer_keeps_tables
            self._resumable.remember(id_, self.session.jid, tables if is_kept else None, self)

    def _bound(self, parent: Element | None, tag: str) -> None:
        found = parent.find(tag) if parent is not None else None
        if found is None:
            return
        try:
            jid = JID.parse(found.text)
        except InvalidJID:
            return
        if jid.is_full:
            self.session.bind(jid)

    def _retry(self, element: Element, output: Output) -> None:
        """The server does not have our dictionary: take one that it has."""
        for child in element.elements():
            dictionary = self._dictionaries.get(bytes.fromhex(child.get("id") or ""))
            if dictionary is not None:
                self._writer.dictionary = dictionary
                output.to_server.append(self._hello())
                return
        self._break(StreamBroken("undefined-condition", "The server has no dictionary of ours."), output)


def _kept(feature: Element) -> tuple[Element, ...]:
    """Return a feature without what needs the client's own TLS; nothing when nothing is left."""
    if feature.tag in _NEVER:
        return ()
    if feature.tag in _MECHANISM_LISTS or feature.name == "inline":
        return (_without(feature, lambda child: child.name == "mechanism" and child.text.endswith("-PLUS")),)
    if feature.tag == f"{FAST_NS} fast":
        return (_without(feature, lambda child: child.name == "mechanism" and not child.text.endswith("-NONE")),)
    return (feature,)


def _without(parent: Element, is_unwanted: Callable[[Element], bool]) -> Element:
    children = [kept for child in parent.elements() if not is_unwanted(child) for kept in _kept(child)]
    return Element(parent.tag, parent.attrs, tuple(children))


def _within_login(element: Element) -> Element | None:
    """Return <resume/> where SASL2's <authenticate/> carries it."""
    return element.find(RESUME) if element.tag == f"{SASL2_NS} authenticate" else None


def _within_success(element: Element) -> Element | None:
    """Return <resumed/> where SASL2's success carries it."""
    return element.find(RESUMED) if element.tag == f"{SASL2_NS} success" else None


def _enabled_within(element: Element) -> Element | None:
    """Return <enabled/> where SASL2's success carries it, in Bind 2's <bound/>."""
    if element.tag != f"{SASL2_NS} success":
        return None
    bound = element.find("urn:xmpp:bind:0 bound")
    return None if bound is None else bound.find(f"{SM_NS} enabled")


def _refusal(bad: BadStanza) -> bytes:
    """Return the error that a stanza with a bad address comes back as."""
    if bad.stanza.type == "error":
        return b""
    error = Element("jabber:client error", {"type": "modify"}, (Element(f"{STANZAS_NS} {bad.condition}"),))
    return bad.stanza.replace(type="error").adding(error).to_xml()
