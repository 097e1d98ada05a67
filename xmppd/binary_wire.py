"""How a client's stream comes to speak the binary form (urn:xmppd:binary:0, docs/binary-framing.md §3).

Two ways lead there. By ALPN on direct TLS, before anything is said; and in band, for those who start in XML:

    feature  <binary xmlns='urn:xmppd:binary:0' version='0'><dict id='…'/></binary>     before login
    client   <upgrade xmlns='urn:xmppd:binary:0' version='0' dict='…'/>
    server   <proceed xmlns='urn:xmppd:binary:0'/>, or <failure/> with the reason, and the stream goes on in XML

After either the client sends HELLO; its answer is ours, and then everything is as on any other stream.
"""

from collections.abc import Mapping
from typing import Protocol

from codec.binary_cbor import Malformed
from codec.binary_dictionary import Dictionary
from codec.binary_head import Session
from codec.binary_reader import BINARY_NS, VERSION, BinaryReader
from codec.binary_tables import Tables
from codec.binary_writer import BinaryWriter
from codec.element import Element
from codec.limits import ReaderLimits

ALPN_BINARY = "xmppd-bin/0"
UPGRADE = f"{BINARY_NS} upgrade"
UNKNOWN_DICTIONARY = f"{BINARY_NS} unknown-dictionary"

MAX_KEPT_BYTES = 12_288
"""Tables of a session that waits to be resumed; larger ones are forgotten. Full ones of a phone take 7 KiB, what a hostile client fills 64."""


class BinaryStream(Protocol):
    """What is needed of a stream that changes its form."""

    def change_form(self, reader: BinaryReader, writer: BinaryWriter, session: Session) -> None:
        """Speak another form from the next byte on."""

    def send_element(self, element: Element) -> None:
        """Send a direct child of the stream."""


class BinaryWire:
    """What all binary streams of a server share.

    Args:
        dictionaries: by id, every one that was ever shipped, the newest first.
        offers_tables: whether clients may have tables of recent values (12 KiB a connection at most).
    """

    def __init__(self, dictionaries: Mapping[bytes, Dictionary], offers_tables: bool) -> None:
        self._dictionaries = dictionaries
        self._offers_tables = offers_tables
        self._newest = next(iter(dictionaries.values()))
        dicts = tuple(Element(f"{BINARY_NS} dict", {"id": id_.hex()}) for id_ in dictionaries)
        self.feature = Element(f"{BINARY_NS} binary", {"version": str(VERSION)}, dicts)

    def begin(self, stream: BinaryStream, limits: ReaderLimits) -> None:
        """Have a stream speak binary, HELLO first."""
        session = Session()
        stream.change_form(
            BinaryReader(limits, session, self._dictionaries), BinaryWriter(self._newest, session), session
        )

    def upgrade(self, stream: BinaryStream, request: Element, limits: ReaderLimits) -> None:
        """Answer <upgrade/>: proceed, or say why not and go on in XML."""
        if request.get("version", str(VERSION)) != str(VERSION):
            stream.send_element(_failure("unsupported-version"))
        elif _bytes_of(request.get("dict")) not in self._dictionaries:
            stream.send_element(_failure("unknown-dictionary"))
        else:
            stream.send_element(Element(f"{BINARY_NS} proceed"))
            self.begin(stream, limits)

    def opened(
        self, reader: BinaryReader, writer: BinaryWriter, tables: Tables | None, stream_id: str
    ) -> Tables | None:
        """The client's HELLO came: speak with its dictionary, and with tables if both want them.

        Args:
            tables: those that the stream has already, from before it was begun anew.
            stream_id: what our own HELLO is about to say.

        Returns:
            The tables that the stream has now.
        """
        assert reader.dictionary is not None
        writer.dictionary, writer.peer_features = reader.dictionary, reader.peer_features
        if self._offers_tables and reader.peer_takes_tables and tables is None:
            writer.takes_tables = True
            tables = Tables(stream_id)
            writer.tables, reader.tables = tables.sent, tables.seen
        return tables

    def part(self, reader: BinaryReader, writer: BinaryWriter, tables: Tables) -> Tables | None:
        """Take the tables from a stream that ends: return them, asleep, if its session may need them; it goes on without."""
        writer.tables = reader.tables = None
        return tables if reader.peer_keeps_tables and tables.sleep() <= MAX_KEPT_BYTES else None

    def go_on(self, reader: BinaryReader, writer: BinaryWriter, kept: Tables) -> bytes | None:
        """A session is resumed: have its stream go on with the tables that it had, if the client asked for just these.

        Returns:
            What to send before the answer. None: the stream keeps those that it began with.
        """
        claim, reader.claim = reader.claim, None
        if claim is None or not claim.name:
            return None
        try:
            kept.go_on(claim)
        except Malformed:
            return None
        writer.tables, reader.tables = kept.sent, kept.seen
        return writer.claim(kept.answer())

    def retry(self, writer: BinaryWriter) -> bytes:
        """Return the answer to a HELLO with a dictionary that we do not have: those that we have."""
        return writer.retry(self._dictionaries)


def _failure(reason: str) -> Element:
    return Element(f"{BINARY_NS} failure", {}, (Element(f"{BINARY_NS} {reason}"),))


def _bytes_of(text: str | None) -> bytes:
    try:
        return bytes.fromhex(text or "")
    except ValueError:
        return b""
