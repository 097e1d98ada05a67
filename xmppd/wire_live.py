"""`xmppd wire explain --live`: a bridge that tells of every frame that crosses it, as it crosses.

What it shows is the traffic of the clients that connect to it and nobody else's: the server has no ear for this, and gets none.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from codec import binary_frames as frames
from codec.binary_cbor import Malformed
from codec.binary_dictionary import Dictionary
from codec.binary_explain import Explained, explain
from codec.binary_reader import BinaryReader
from codec.binary_tables import SeenTables, SentTables
from codec.binary_translator import FROM_SERVER, Output, Translator
from codec.events import BadStanza, Event, StreamClosed, StreamOpened
from codec.stanza import Stanza
from codec.xml_writer import XmlWriter

MAX_MIRRORS = 100

UP, DOWN = "client to server", "server to client"


@dataclass(slots=True)
class Crossed:
    """One frame.

    Attributes:
        direction: `UP` or `DOWN`.
        frame: what its bytes are for; a kind of "?" when that cannot be told.
        xml_bytes: what the client's side of it is in XML.
    """

    direction: str
    frame: Explained
    xml_bytes: int


@dataclass(slots=True)
class Sums:
    """Of one direction of all connections."""

    frames: int = 0
    bytes: int = 0
    xml_bytes: int = 0

    def add(self, crossed: Crossed) -> None:
        """Count a frame."""
        self.frames += 1
        self.bytes += crossed.frame.size_bytes
        self.xml_bytes += crossed.xml_bytes


class Mirrors:
    """The tables of what goes up as the server has them, for each of the clients' own; those of a session that is resumed go on."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[int, tuple[SentTables, SeenTables]] = OrderedDict()

    def of(self, sent: SentTables) -> SeenTables:
        """Return the mirror of some tables, an empty one for those that have just begun."""
        found = self._by_id.setdefault(id(sent), (sent, SeenTables()))  # who is kept keeps its id
        if len(self._by_id) > MAX_MIRRORS:
            self._by_id.popitem(last=False)
        return found[1]


class Watched:
    """A translator that tells what it does.

    Args:
        translator: does the work.
        mirrors: shared by all connections of a process.
        tell: takes each frame.
    """

    def __init__(
        self,
        translator: Translator,
        dictionaries: Mapping[bytes, Dictionary],
        mirrors: Mirrors,
        tell: Callable[[Crossed], None],
    ) -> None:
        self._translator = translator
        self._mirrors = mirrors
        self._tell = tell
        self._arrived = b""
        # reads what goes up as the server does, to know its tables and what it means
        self._server = BinaryReader(FROM_SERVER, translator.session, dictionaries)
        self._mirrored: SentTables | None = None

    def close(self) -> None:
        """As `Translator.close`."""
        self._translator.close()
        self._server.close()

    def from_client(self, data: bytes) -> Output:
        """As `Translator.from_client`."""
        output = self._translator.from_client(data)
        self._went_up(output)
        return output

    def from_server(self, data: bytes) -> Output:
        """As `Translator.from_server`, frame by frame."""
        self._arrived += data
        output = Output()
        for frame in self._whole():
            reader = self._translator.reader
            shown = self._explained(frame, reader.tables)
            once = self._translator.from_server(frame)
            self._tell(Crossed(DOWN, shown, sum(map(len, once.to_client)) or _xml_of_short(frame)))
            self._went_up(once)
            self._mirror()
            output.to_server += once.to_server
            output.to_client += once.to_client
            if once.is_over:
                output.is_over = True
                break
        return output

    def _whole(self) -> Iterator[bytes]:
        """Yield what has arrived as whole frames; what is none goes on as it is, to be refused."""
        while self._arrived:
            try:
                end = frames.end_of(self._arrived)
            except Malformed:
                end = len(self._arrived)
            if end is None or end > len(self._arrived):
                if len(self._arrived) <= FROM_SERVER.stanza_bytes + frames.MAX_VARINT_BYTES + 1:
                    return
                end = len(self._arrived)
            frame, self._arrived = self._arrived[:end], self._arrived[end:]
            yield frame

    def _went_up(self, output: Output) -> None:
        for frame in output.to_server:
            shown = self._explained(frame, self._server.tables)
            events = self._server.feed(frame)
            self._tell(Crossed(UP, shown, sum(map(_xml_bytes, events)) or _xml_of_short(frame)))
        if self._server.tables is None:
            self._mirror()

    def _mirror(self) -> None:
        """Have the tables of what goes up as the server has them: from the beginning, or taken over from an earlier connection."""
        sent = self._translator.writer.tables
        if sent is self._mirrored:
            return
        self._mirrored = sent
        self._server.tables = None if sent is None else self._mirrors.of(sent)

    def _explained(self, frame: bytes, tables: SeenTables | None) -> Explained:
        try:
            return explain(frame, self._translator.writer.dictionary, self._translator.session, tables)
        except Malformed as error:
            return Explained(f"? ({error})", len(frame))


def _xml_bytes(event: Event) -> int:
    if isinstance(event, StreamOpened):
        header = XmlWriter().header(from_=event.from_, id_=event.id or "", to=event.to, lang=event.lang or "en")
        return len(header)
    if isinstance(event, StreamClosed):
        return len(XmlWriter().close())
    if isinstance(event, BadStanza):
        return len(event.stanza.to_xml())
    if isinstance(event, Stanza):
        return len(event.to_xml())
    return len(event.to_xml()) if hasattr(event, "to_xml") else 0


def _xml_of_short(frame: bytes) -> int:
    """A keepalive is one byte of white space; what is left is for the two ends alone."""
    return 1 if frame[0] >> 4 == frames.PING else 0
