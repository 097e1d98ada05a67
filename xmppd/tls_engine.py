"""One TLS connection without a socket: ciphertext in, plaintext out, and the reverse.

The memory of an idle connection counts, so nothing is kept per connection that can be shared. OpenSSL takes all bytes
that it is given (a partial record waits inside of it), and we take all bytes that it makes before anything else runs.
So between two calls its BIOs are empty, and one pair of them serves all connections of an event loop: `TlsWorkspace`.
"""

import ssl

from cryptography import x509

from xmppd.tls import ServerContext, ServerSSLObject, certificate_hash

# What a client may send before the handshake is complete: a ClientHello takes less than 2 KiB, and may end in a record of
# the greatest size (RFC 8446 §5.2). OpenSSL itself would keep 128 KiB.
SERVER_HANDSHAKE_LIMIT_BYTES = 16_384 + 16_645
# A server sends its certificates; OpenSSL takes chains up to 100 KiB.
CLIENT_HANDSHAKE_LIMIT_BYTES = 131_072
# How much plaintext one piece holds at most; also the most that goes into OpenSSL at once.
PIECE_BYTES = 65_536


class TlsFailed(Exception):
    """The connection cannot go on: a broken record, no common version, a certificate not trusted. One line of text.

    `TlsEngine.take_output` still holds the alert for the peer.
    """


class TlsWorkspace:
    """The memory that all connections of one thread share; never for two threads."""

    __slots__ = ("buffer", "incoming", "outgoing")

    def __init__(self, piece_bytes: int = PIECE_BYTES) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.buffer = memoryview(bytearray(piece_bytes))


class TlsEngine:
    """One TLS connection.

    Args:
        context: a `ServerContext` of `TlsStore.context_for`, or one for a client.
        workspace: shared with all engines of this thread.
        server_side: False makes it the client, and `take_output` has the ClientHello at once.
        server_name: whom a client asks for (SNI) and whose certificate it checks.

    Attributes:
        is_established: the handshake is complete; only then `write`.
        is_closed_by_peer: the peer has sent its close_notify; what it sends after that is ignored.
        is_broken: a call has raised `TlsFailed`.
    """

    __slots__ = (
        "_handshake_room",
        "_output",
        "_ssl",
        "_workspace",
        "is_broken",
        "is_closed_by_peer",
        "is_established",
    )

    def __init__(
        self,
        context: ssl.SSLContext,
        workspace: TlsWorkspace,
        server_side: bool = True,
        server_name: str | None = None,
    ) -> None:
        self._workspace = workspace
        self._ssl = context.wrap_bio(
            workspace.incoming, workspace.outgoing, server_side=server_side, server_hostname=server_name
        )
        self._handshake_room = SERVER_HANDSHAKE_LIMIT_BYTES if server_side else CLIENT_HANDSHAKE_LIMIT_BYTES
        self._output = b""
        self.is_established = False
        self.is_closed_by_peer = False
        self.is_broken = False
        if not server_side:
            try:
                self._shake_hands()
            finally:
                self._collect()

    def feed(self, data: bytes | memoryview) -> list[bytes]:
        """Take ciphertext and return the plaintext that it completes, in pieces of at most the workspace's size.

        Afterwards `take_output` may have something for the peer: the handshake, an alert.

        Raises:
            TlsFailed: the connection is broken; no more calls but `take_output`.
        """
        if self.is_broken:
            raise TlsFailed("the TLS connection is broken")
        if self.is_closed_by_peer:
            return []
        incoming = self._workspace.incoming
        try:
            if not self.is_established:
                room = self._handshake_room
                self._handshake_room = room - len(data)
                incoming.write(data[:room])
                if not self._shake_hands():
                    if self._handshake_room <= 0:
                        self.is_broken = True
                        raise TlsFailed("the handshake is too long")
                    return []
                data = data[room:]
            incoming.write(data)
            return self._read()
        except ssl.SSLError as error:
            self.is_broken = True
            raise TlsFailed(_reason(error)) from None
        finally:
            self._collect()

    def write(self, data: bytes | memoryview) -> None:
        """Encrypt plaintext; `take_output` has it then.

        Raises:
            TlsFailed: the connection is broken, `shutdown` was called, or the handshake is not complete.
        """
        if not self.is_established:
            raise TlsFailed("nothing can be written before the handshake is complete")
        connection = self._ssl
        try:
            if len(data) <= PIECE_BYTES:
                if data:
                    connection.write(data)
                return
            view = memoryview(data)
            for start in range(0, len(view), PIECE_BYTES):
                connection.write(view[start : start + PIECE_BYTES])
                self._collect()
        except ssl.SSLError as error:
            self.is_broken = True
            raise TlsFailed(_reason(error)) from None
        finally:
            self._collect()

    def take_output(self) -> bytes:
        """Return the ciphertext for the peer made since the last call, b"" when there is none."""
        output, self._output = self._output, b""
        return output

    def shutdown(self) -> None:
        """Say that we send no more (close_notify); `take_output` has it then. Nothing happens when it cannot be said."""
        if self.is_broken or not self.is_established:
            return
        try:
            self._ssl.unwrap()
        except ssl.SSLError:
            pass  # the peer has not said the same yet, or never will
        finally:
            self._collect()

    @property
    def version(self) -> str | None:
        """ "TLSv1.2" or "TLSv1.3"; None before the handshake."""
        return self._ssl.version()

    @property
    def cipher(self) -> str | None:
        """OpenSSL's name of the cipher suite; None before the handshake."""
        cipher = self._ssl.cipher()
        return cipher[0] if cipher else None

    @property
    def alpn(self) -> str | None:
        """The protocol id agreed upon; None when there was no agreement."""
        return self._ssl.selected_alpn_protocol()

    @property
    def sni_name(self) -> str | None:
        """The server name that the client indicated; None when it did not, or when we are the client."""
        connection = self._ssl
        return connection.sni_name if isinstance(connection, ServerSSLObject) else None

    @property
    def end_point_hash(self) -> bytes | None:
        """The channel binding tls-server-end-point (RFC 5929 §4), the same on both sides; None when there is none."""
        context = self._ssl.context
        if isinstance(context, ServerContext):
            return context.info.end_point_hash
        der = self._ssl.getpeercert(binary_form=True)
        return certificate_hash(x509.load_der_x509_certificate(der)) if der else None

    def _shake_hands(self) -> bool:
        """Go on with the handshake; whether it is complete."""
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.is_established = True
        return True

    def _read(self) -> list[bytes]:
        connection, workspace = self._ssl, self._workspace
        buffer = workspace.buffer
        size = len(buffer)
        pieces: list[bytes] = []
        filled = 0
        try:
            # Asking once more than needed would cost an exception, so look first whether anything is left.
            while workspace.incoming.pending or connection.pending():
                count = _read_into(connection, buffer[filled:] if filled else buffer)
                if not count:
                    self.is_closed_by_peer = True
                    break
                filled += count
                if filled == size:
                    pieces.append(bytes(buffer))
                    filled = 0
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.is_closed_by_peer = True
        if filled:
            pieces.append(bytes(buffer[:filled]))
        return pieces

    def _collect(self) -> None:
        """Leave the shared BIOs empty for the next connection."""
        workspace = self._workspace
        if workspace.outgoing.pending:
            self._output += workspace.outgoing.read()
        if workspace.incoming.pending:
            workspace.incoming.read()


def _read_into(connection: ssl.SSLObject, buffer: memoryview) -> int:
    """Read what one record holds, as far as it fits; 0 when the peer has closed."""
    return connection.read(len(buffer), buffer)  # type: ignore[return-value]  # the stubs miss this form


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    return (error.reason or error.__class__.__name__).replace("_", " ").lower()
