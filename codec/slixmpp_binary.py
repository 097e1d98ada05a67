"""An ordinary slixmpp program speaks the binary form when it says one line before it connects:

    client = ClientXMPP("juliet@example.org", password)
    slixmpp_binary.enable(client)
    client.connect()

It needs direct TLS (XEP-0368), where the form is asked for by ALPN. A server that does not have it goes on in XML.
"""

from __future__ import annotations

from typing import Any

from slixmpp import ClientXMPP

from codec.binary_dictionary import load_all
from codec.binary_translator import Output, Resumable, Translator

ALPN = ("xmppd-bin/0", "xmpp-client")


def enable(client: ClientXMPP) -> BinaryWire:
    """Have a client speak binary on every connection from now on; return what does that."""
    return BinaryWire(client)


class BinaryWire:
    """Stands between a slixmpp client and its transport.

    Attributes:
        is_active: whether the connection of this moment is a binary one.
        bytes_sent, bytes_received: in frames, over all connections.
    """

    def __init__(self, client: ClientXMPP) -> None:
        self._client = client
        self._dictionaries = load_all()
        self._resumable = Resumable()
        self._translator: Translator | None = None
        self._transport: Any = None
        self.bytes_sent = 0
        self.bytes_received = 0
        self._data_received = client.data_received
        self._connection_made = client.connection_made
        self._connection_lost = client.connection_lost
        self._get_ssl_context = client.get_ssl_context
        hooked: Any = client  # its methods are replaced on this one object
        hooked.enable_direct_tls = True
        hooked.enable_starttls = False
        hooked.enable_plaintext = False
        hooked.get_ssl_context = self._ssl_context
        hooked.connection_made = self._made
        hooked.data_received = self._received
        hooked.connection_lost = self._lost

    @property
    def is_active(self) -> bool:
        """Whether there is a connection and it has agreed to the binary form."""
        return self._translator is not None

    def _ssl_context(self) -> Any:
        context = self._get_ssl_context()
        context.set_alpn_protocols(list(ALPN))
        return context

    def _made(self, transport: Any, send_event: bool = True) -> None:
        ssl_object = transport.get_extra_info("ssl_object")
        if ssl_object is not None and ssl_object.selected_alpn_protocol() == ALPN[0]:
            # its TLS is the client's own, so that no feature has to be taken away
            self._translator = Translator(self._dictionaries, self._resumable, filters_features=False)
            self._transport = transport
            transport = Transport(transport, self._write)
        self._connection_made(transport, send_event)

    def _lost(self, exception: BaseException | None) -> None:
        if self._translator is not None:
            self._translator.close()
        self._translator = self._transport = None
        self._connection_lost(exception)

    def _write(self, data: bytes) -> None:
        """Send what the client wrote as XML."""
        if self._translator is None:
            return
        output = self._translator.from_client(data)
        self._send(output)
        if output.to_client:
            # not now: the client is in the middle of writing
            self._client.loop.call_soon(self._deliver, output)

    def _received(self, data: bytes) -> None:
        """Give the client what came, as XML."""
        if self._translator is None:
            self._data_received(data)
            return
        self.bytes_received += len(data)
        output = self._translator.from_server(data)
        self._send(output)
        self._deliver(output)

    def _send(self, output: Output) -> None:
        data = b"".join(output.to_server)
        if data and self._transport is not None:
            self.bytes_sent += len(data)
            self._transport.write(data)

    def _deliver(self, output: Output) -> None:
        for piece in output.to_client:
            if self._translator is None:  # what came before ended the connection
                return
            self._data_received(piece)


class Transport:
    """A transport whose `write` takes XML; everything else is the real one's."""

    def __init__(self, transport: Any, write: Any) -> None:
        self._transport = transport
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
