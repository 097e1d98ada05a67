import base64
import hashlib

import pytest

from compliance.sasl import Plain, SaslError, Scram, channel_binding, signature_hash
from tests.support.ca import make_test_ca


class Fixed(Scram):
    """SCRAM with the nonce of an RFC's example."""

    def __init__(self, name: str, nonce: str) -> None:
        super().__init__(name, "user", "pencil")
        self._nonce, self._first_bare = nonce, f"n=user,r={nonce}"


def test_plain_is_user_and_password_between_nul():
    assert Plain("user", "pencil").first() == b"\0user\0pencil"


def test_scram_sha_1_gives_the_texts_of_rfc_5802():
    exchange = Fixed("SCRAM-SHA-1", "fyko+d2lbbFgONRv9qkxdawL")
    assert exchange.first() == b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"
    challenge = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
    final = b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
    assert exchange.answer(challenge) == final
    exchange.verify(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")


def test_scram_sha_256_gives_the_texts_of_rfc_7677():
    exchange = Fixed("SCRAM-SHA-256", "rOprNGfwEbeRWgbNEkqO")
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    answer = exchange.answer(f"r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode())
    assert answer == f"c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".encode()
    exchange.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def test_a_server_that_does_not_know_the_password_is_found_out():
    exchange = Fixed("SCRAM-SHA-1", "fyko+d2lbbFgONRv9qkxdawL")
    exchange.answer(b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096")
    with pytest.raises(SaslError):
        exchange.verify(b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    with pytest.raises(SaslError):
        Fixed("SCRAM-SHA-1", "x").verify(b"v=")


@pytest.mark.parametrize(
    "challenge", [b"r=other,s=QSXC,i=4096", b"r=nonceX,s=,i=4096", b"r=nonceX,s=QSXC,i=zero", b"r=nonce,s=QSXC,i=1"]
)
def test_a_challenge_that_cannot_be_right_is_refused(challenge):
    with pytest.raises(SaslError):
        Fixed("SCRAM-SHA-1", "nonce").answer(challenge)


def test_a_binding_is_part_of_what_is_proved():
    exchange = Scram("SCRAM-SHA-256-PLUS", "user", "pencil", binding=("tls-server-end-point", b"hash"))
    first = exchange.first().decode()
    assert first.startswith("p=tls-server-end-point,,n=user,r=")
    nonce = first.partition("r=")[2]
    final = exchange.answer(f"r={nonce}x,s=QSXCR+Q6sek8bf92,i=1".encode()).decode()
    bound = final.partition("c=")[2].partition(",")[0]
    assert base64.b64decode(bound) == b"p=tls-server-end-point,,hash"


def test_names_are_escaped():
    assert b"n=a=2Cb=3Dc," in Scram("SCRAM-SHA-1", "a,b=c", "x").first()


def test_the_end_point_hash_is_that_of_the_certificates_signature(tmp_path):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    authority = make_test_ca(tmp_path)
    for algorithm, name in ((hashes.SHA256(), "sha256"), (hashes.SHA384(), "sha384"), (hashes.SHA512(), "sha512")):
        leaf = authority.sign(["a.test"], signed_with=algorithm)
        certificate = x509.load_pem_x509_certificate(leaf.certificate.read_bytes())
        assert signature_hash(certificate.public_bytes(serialization.Encoding.DER)) == name


class Tls:
    """What `channel_binding` asks of an ssl object."""

    def __init__(self, version: str, certificate: bytes | None) -> None:
        self._version, self._certificate = version, certificate

    def version(self) -> str:
        return self._version

    def getpeercert(self, *, binary_form: bool) -> bytes | None:
        return self._certificate

    def get_channel_binding(self, kind: str) -> bytes:
        return b"finished"


def test_bindings_are_made_where_they_can_be(tmp_path):
    import ssl

    pem = make_test_ca(tmp_path).path.read_text()
    certificate = ssl.PEM_cert_to_DER_cert(pem)
    new, old = Tls("TLSv1.3", certificate), Tls("TLSv1.2", None)
    assert channel_binding(new, "tls-server-end-point") == hashlib.sha256(certificate).digest()
    assert channel_binding(new, "tls-unique") is None
    assert channel_binding(old, "tls-unique") == b"finished"
    assert channel_binding(old, "tls-server-end-point") is None
    assert channel_binding(new, "tls-exporter") is None
