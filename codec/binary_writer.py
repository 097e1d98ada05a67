"""What goes out on a binary stream, as bytes: `XmlWriter`'s counterpart (docs/binary-framing.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from codec import binary_frames as frames
from codec.binary_cbor import blob, integer, texts
from codec.binary_dictionary import Dictionary
from codec.binary_features import hash_of
from codec.binary_form import NOBODY, PayloadForm
from codec.binary_head import Session, write_head
from codec.binary_nodes import Encoder
from codec.binary_reader import CSI_NS, FEATURES_TAG, FLAG_FEATURES, FLAG_KEEPS, FLAG_TABLES, SM_NS, VERSION
from codec.binary_tables import Claim, SentTables
from codec.element import Element
from codec.stanza import Stanza
from codec.xml_writer import STREAMS_NS, error_children

REFER, KEEP = -2, -66
"""In place of a packed value: its slot; the slot that it goes into, before it."""


class BinaryWriter:
    """Writes one direction of a binary stream.

    Args:
        dictionary: in whose terms.
        session: what both ends know; shared with the stream's reader.
        takes_tables: whether our HELLO says that our reader has tables, and that both are kept for a session that is resumed.

    Attributes:
        tables: set them when the peer's HELLO says that it takes them.
        peer_features: the hashes of features of ours that the peer's HELLO told.
    """

    __slots__ = ("_acked", "dictionary", "peer_features", "session", "tables", "takes_tables")

    def __init__(self, dictionary: Dictionary, session: Session, takes_tables: bool = False) -> None:
        self.dictionary = dictionary
        self.session = session
        self.takes_tables = takes_tables
        self.tables: SentTables | None = None
        self.peer_features: tuple[bytes, ...] = ()
        self._acked = 0

    def header(
        self, *, from_: str | None, id_: str, to: str | None = None, lang: str = "en", features: Sequence[bytes] = ()
    ) -> bytes:
        """Return HELLO, which opens or answers a stream; `features`: the hashes of those of the peer's that we have."""
        self._acked = 0
        if not self.session.domain:
            self.session.domain = to or from_ or ""
        if not to and from_ == self.session.domain:
            from_ = None  # it answers whom it was addressed as
        names = [to or "", from_ or "", id_, "" if lang == "en" else lang]
        while names and not names[-1]:
            names.pop()
        flags = FLAG_TABLES | FLAG_KEEPS if self.takes_tables else 0
        if features:
            flags |= FLAG_FEATURES
        body = integer(VERSION) + integer(flags) + blob(self.dictionary.id) + texts(names)
        if features:
            body += blob(b"".join(features))
        return frames.frame(frames.HELLO, body)

    def retry(self, ids: Iterable[bytes]) -> bytes:
        """Return the answer to a HELLO that names no dictionary of ours: those that we have."""
        return frames.frame(frames.RETRY, b"".join([blob(id_) for id_ in ids]))

    def features(self, features: list[Element]) -> bytes:
        """Return the stream features."""
        return self.element(Element(FEATURES_TAG, {}, tuple(features)))

    def recalled(self, frame: bytes) -> bytes:
        """Return a frame of features, or what stands for it when the peer's HELLO told that it has them."""
        hash_ = hash_of(frame) if self.peer_features else b""
        if hash_ not in self.peer_features:
            return frame
        return bytes((frames.FEATURES << 4 | self.peer_features.index(hash_),))

    def form(self, stanza: Stanza) -> PayloadForm | None:
        """Return what the stanza carries in our dictionary's terms, made once for all that carry the same; None for nothing."""
        dictionary = self.dictionary
        forms = stanza.forms
        if forms is None:
            if stanza.is_empty:
                return None
            forms = stanza.forms = {}
        form = forms.get(dictionary.id)
        if form is None:
            if stanza.is_empty:
                return None
            form = forms[dictionary.id] = self._encoder().form(stanza)
        assert isinstance(form, PayloadForm)
        if form.uses and not form.fits(stanza):
            form = forms[dictionary.id] = self._encoder().form(stanza, use_references=False)
        if form.pending:
            self._encoder().settle(form, stanza)
        return form

    def _encoder(self) -> Encoder:
        dictionary = self.dictionary
        if dictionary.encoder is None:
            dictionary.encoder = Encoder(dictionary)
        encoder: Encoder = dictionary.encoder
        return encoder

    def stanza(self, stanza: Stanza, asks_ack: bool = False) -> bytes:
        """Return a stanza; `asks_ack`: with the request for an acknowledgement in the same frame."""
        tables = self.tables
        form = self.form(stanza)
        flags = frames.FLAG_ACK_REQUEST if asks_ack else 0
        if form is None:
            return frames.frame(frames.STANZA, write_head(stanza, self.session, tables, self.dictionary), flags)
        head = write_head(stanza, self.session, tables, self.dictionary, form.coded_id)
        clear = head + (
            form.clear() if tables is None or not form.kept() else form.clear_with(_with_tables(form, tables))
        )
        size_class, block = form.compress()
        if not size_class:
            return frames.frame(frames.STANZA, clear, flags)
        return frames.frame(frames.STANZA, frames.varint(len(clear)) + clear + block, flags | size_class)

    def element(self, element: Element) -> bytes:
        """Return any other child of the stream; acknowledgements and CSI have frames of their own."""
        if element.tag in _SHORT and not element.children:
            short = self._short(element)
            if short is not None:
                return short
        form = PayloadForm(self.dictionary, self._encoder().part(element.to_xml(), {}, {}), NOBODY)
        size_class, block = form.compress()
        clear = form.clear()
        body = frames.varint(len(clear)) + clear + block if size_class else clear
        return frames.frame(frames.ELEMENT, body, size_class)

    def _short(self, element: Element) -> bytes | None:
        if element.tag == ACK_TAG:
            h = element.attrs.get("h", "")
            is_plain = len(element.attrs) == 1 and h.isascii() and h.isdigit() and len(h) < 11 and str(int(h)) == h
            return self.ack(int(h)) if is_plain and int(h) < 1 << 32 else None
        return None if element.attrs else _SHORT[element.tag]

    def ack(self, h: int) -> bytes:
        """Return <a/> (XEP-0198 §4): by how much h has grown since the last one."""
        grown = (h - self._acked) & 0xFFFFFFFF
        self._acked = h
        return bytes((frames.ACK << 4,)) + frames.varint(grown)

    def ack_request(self) -> bytes:
        """Return <r/> (XEP-0198 §4)."""
        return bytes((frames.ACK_REQUEST << 4,))

    def ping(self) -> bytes:
        """Return what keeps a connection alive and says nothing."""
        return bytes((frames.PING << 4,))

    def claim(self, claim: Claim) -> bytes:
        """Return a TABLES frame: how much of the peer's tables we have, as a session is resumed."""
        return frames.frame(frames.TABLES, claim.write())

    def csi(self, is_active: bool) -> bytes:
        """Return <active/> or <inactive/> (XEP-0352)."""
        return bytes((frames.CSI << 4 | is_active,))

    def error(self, condition: str, text: str | None = None, app: Element | None = None) -> bytes:
        """Return <stream:error/>, as `XmlWriter.error`."""
        return self.element(Element(f"{STREAMS_NS} error", {}, error_children(condition, text, app)))

    def close(self) -> bytes:
        """Return the end of the stream."""
        return bytes((frames.CLOSE << 4,))


ACK_TAG = f"{SM_NS} a"
_SHORT = {
    ACK_TAG: b"",
    f"{SM_NS} r": bytes((frames.ACK_REQUEST << 4,)),
    f"{CSI_NS} active": bytes((frames.CSI << 4 | 1,)),
    f"{CSI_NS} inactive": bytes((frames.CSI << 4,)),
}


def _with_tables(form: PayloadForm, tables: SentTables) -> bytes:
    kept = form.kept()
    out = []
    for index, value in enumerate(form.all_blobs()):
        if index in kept:
            slot = tables.values.find(value)
            if slot is not None:
                out.append(integer(REFER - slot))
                continue
            slot = tables.values.insert(value)
            if slot is not None:
                out.append(integer(KEEP - slot))
        out.append(blob(value))
    return b"".join(out)
