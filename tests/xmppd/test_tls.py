"""Certificates by virtual host, and their reload."""

import contextlib
import hashlib
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from tests.support.ca import CertificateAuthority, Leaf, make_test_ca
from xmppd.tls import TlsError, TlsStore, certificate_hash, end_point_hash


@dataclass(frozen=True)
class Files:
    certificate: Path | None = None
    key: Path | None = None
    domains: dict[str, "Files"] = field(default_factory=dict)


def files(leaf: Leaf, **domains: Leaf) -> Files:
    others = {name.replace("_", "."): Files(other.certificate, other.key) for name, other in domains.items()}
    return Files(leaf.certificate, leaf.key, others)


@pytest.fixture
def ca(tmp_path):
    return make_test_ca(tmp_path)


@pytest.fixture
def leaf(ca):
    return ca.sign(["example.org"])


@dataclass
class Handshake:
    """What a client of the standard library saw."""

    der: bytes
    alpn: str | None
    server: ssl.SSLObject


def handshake(context: ssl.SSLContext, server_name: str | None, alpn: tuple[str, ...] = ()) -> Handshake:
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    if alpn:
        trusting.set_alpn_protocols(list(alpn))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname=server_name)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(2):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    der = client.getpeercert(binary_form=True)
    assert der is not None
    return Handshake(der, client.selected_alpn_protocol(), server)


def names_seen(store: TlsStore, server_name: str | None, domain: str | None = None, direct: bool = False) -> list[str]:
    seen = handshake(store.context_for(domain, direct=direct), server_name)
    extension = x509.load_der_x509_certificate(seen.der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return extension.value.get_values_for_type(x509.DNSName)


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize(
    ("server_name", "presented"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.com", "example.com"),
        ("conference.example.com", "example.com"),
        ("chat.example.com", "chat.example.com"),
        ("example.org", "example.org"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("unknown.example", "example.org"),
        ("com", "example.org"),
        (None, "example.org"),
    ],
)
def test_server_name_chooses_the_certificate(ca, leaf, direct, server_name, presented):
    others = {name: ca.sign([name]) for name in ("example.com", "chat.example.com", "xn--bcher-kva.example")}
    others["bücher.example"] = others.pop("xn--bcher-kva.example")
    store = TlsStore(files(leaf, **others))
    assert names_seen(store, server_name, direct=direct) == [presented]


def test_stream_address_chooses_where_there_is_no_server_name(ca, leaf):
    store = TlsStore(files(leaf, example_com=ca.sign(["example.com"])))
    assert names_seen(store, None, domain="example.com") == ["example.com"]
    assert names_seen(store, "example.org", domain="example.com") == ["example.org"]


def test_certificate_of_a_domain_serves_when_there_is_no_default(ca, leaf):
    store = TlsStore(Files(domains={"example.org": Files(leaf.certificate, leaf.key)}))
    assert names_seen(store, None) == ["example.org"]


def test_no_certificate_at_all_is_an_error():
    with pytest.raises(TlsError, match="no certificate is configured"):
        TlsStore(Files())


def test_alpn_is_negotiated_on_direct_tls_alone(leaf):
    store = TlsStore(files(leaf), alpn=("urn:xmppd:binary:0", "xmpp-client"))
    direct, starttls = store.context_for(direct=True), store.context_for()
    assert handshake(direct, "example.org", ("xmpp-client",)).alpn == "xmpp-client"
    assert handshake(direct, "example.org", ("xmpp-client", "urn:xmppd:binary:0")).alpn == "urn:xmppd:binary:0"
    assert handshake(direct, "example.org", ("h2",)).alpn is None
    assert handshake(direct, "example.org").alpn is None
    assert handshake(starttls, "example.org", ("xmpp-client",)).alpn is None


def test_contexts_allow_nothing_old(leaf):
    context = TlsStore(files(leaf)).context_for()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    wanted = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    assert context.options & wanted == wanted
    assert context.num_tickets == 1
    for cipher in context.get_ciphers():
        assert cipher["aead"]
        assert cipher["protocol"] == "TLSv1.3" or cipher["name"].startswith("ECDHE-")


def test_key_may_be_in_the_certificate_file(ca, leaf, tmp_path):
    both = tmp_path / "both.pem"
    both.write_bytes(leaf.key.read_bytes() + leaf.certificate.read_bytes())
    assert names_seen(TlsStore(Files(both)), None) == ["example.org"]


def test_domain_without_files_of_its_own_has_the_default(leaf):
    store = TlsStore(Files(leaf.certificate, leaf.key, {"example.com": Files()}))
    assert names_seen(store, "example.com") == ["example.org"]


def test_certificate_without_alternative_names_is_taken(ca):
    store = TlsStore(files(ca.sign([], file_name="nameless")))
    assert store.info("example.org").names == ()


def test_chain_is_presented(ca, leaf):
    leaf.certificate.write_bytes(leaf.certificate.read_bytes() + ca.path.read_bytes())
    store = TlsStore(files(leaf))
    assert store.info("example.org").names == ("example.org",)
    assert names_seen(store, None) == ["example.org"]


def broken(leaf: Leaf, ca: CertificateAuthority, case: str) -> Path:
    """Break one of the two files; return the one that the error must name."""
    now = datetime.now(UTC)
    if case == "no certificate":
        leaf.certificate.unlink()
    elif case == "no key":
        leaf.key.unlink()
        return leaf.key
    elif case == "certificate is garbage":
        leaf.certificate.write_bytes(b"\xff\0not PEM\n")
    elif case == "certificate is cut":
        leaf.certificate.write_bytes(leaf.certificate.read_bytes()[:200])
    elif case == "key is garbage":
        leaf.key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        return leaf.key
    elif case == "key is empty":
        leaf.key.write_text("")
        return leaf.key
    elif case == "other key":
        leaf.key.write_bytes(ca.sign(["example.com"]).key.read_bytes())
        return leaf.key
    elif case == "expired":
        ca.sign(["example.org"], not_before=now - timedelta(days=9), not_after=now - timedelta(seconds=5))
    elif case == "not yet valid":
        ca.sign(["example.org"], not_before=now + timedelta(days=1))
    elif case == "key with passphrase":
        key = serialization.load_pem_private_key(leaf.key.read_bytes(), None)
        encryption = serialization.BestAvailableEncryption(b"secret")
        leaf.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        return leaf.key
    elif case == "folder":
        leaf.certificate.unlink()
        leaf.certificate.mkdir()
    return leaf.certificate


CASES = [
    "no certificate",
    "no key",
    "certificate is garbage",
    "certificate is cut",
    "key is garbage",
    "key is empty",
    "other key",
    "expired",
    "not yet valid",
    "key with passphrase",
    "folder",
]


@pytest.mark.parametrize("case", CASES)
def test_unsound_file_is_one_line_that_names_it(ca, leaf, case):
    path = broken(leaf, ca, case)
    with pytest.raises(TlsError) as caught:
        TlsStore(files(leaf))
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert len(text) < 400


@pytest.mark.parametrize("case", CASES)
def test_reload_of_unsound_files_changes_nothing(ca, leaf, case):
    other = ca.sign(["example.com"])
    store = TlsStore(files(leaf, example_com=other))
    before = [store.context_for(), store.context_for("example.com", direct=True)]
    broken(leaf, ca, case)
    with pytest.raises(TlsError):
        store.reload()
    assert [store.context_for(), store.context_for("example.com", direct=True)] == before
    assert names_seen(store, "example.org") == ["example.org"]


def test_reload_presents_the_new_certificate_and_running_connections_keep_theirs(ca, leaf):
    store = TlsStore(files(leaf))
    old_context = store.context_for()
    old_hash = end_point_hash(old_context)
    running = handshake(old_context, "example.org").server
    ca.sign(["example.org", "new.example"])
    store.reload()
    assert names_seen(store, "example.org") == ["example.org", "new.example"]
    assert running.context is old_context
    assert end_point_hash(old_context) == old_hash != end_point_hash(store.context_for())


def test_reload_takes_other_settings_only_when_they_are_sound(ca, leaf, tmp_path):
    store = TlsStore(files(leaf))
    with pytest.raises(TlsError):
        store.reload(Files(tmp_path / "missing.pem"))
    store.reload()
    assert names_seen(store, None) == ["example.org"]
    store.reload(files(ca.sign(["example.com"])))
    assert names_seen(store, None) == ["example.com"]


def test_certificate_that_changes_while_it_is_read_is_refused(ca, leaf, monkeypatch):
    load = ssl.SSLContext.load_cert_chain

    def renew_and_load(context: ssl.SSLContext, *args: object, **options: object) -> None:
        ca.sign(["example.org"])
        load(context, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", renew_and_load)
    with pytest.raises(TlsError, match="changed while"):
        TlsStore(files(leaf))


def test_days_left_counts_from_the_clock(ca):
    now = datetime(2030, 5, 1, 12, tzinfo=UTC)
    leaf = ca.sign(["example.org"], not_before=now, not_after=now + timedelta(days=30, hours=1))
    moment = now
    store = TlsStore(files(leaf), now=lambda: moment)
    assert store.days_left("example.org") == store.days_left("other.example") == 30
    moment = now + timedelta(days=32)
    assert store.days_left("example.org") < 0
    assert store.info("example.org").path == leaf.certificate


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_channel_binding_is_the_hash_that_the_client_computes(ca, algorithm):
    store = TlsStore(files(ca.sign(["example.org"], signed_with=algorithm)))
    seen = handshake(store.context_for(), "example.org")
    assert end_point_hash(store.context_for()) == hashlib.new(algorithm.name, seen.der).digest()


def test_channel_binding_counts_sha_1_as_sha_256():
    class Old:
        signature_hash_algorithm = hashes.SHA1()

        def public_bytes(self, encoding: object) -> bytes:
            return b"certificate"

    assert certificate_hash(Old()) == hashlib.sha256(b"certificate").digest()  # type: ignore[arg-type]


def test_channel_binding_is_not_defined_for_ed25519(tmp_path):
    ca = make_test_ca(tmp_path, ed25519.Ed25519PrivateKey.generate())
    assert end_point_hash(TlsStore(files(ca.sign(["example.org"]))).context_for()) is None


def test_certificate_signed_by_rsa_is_taken(tmp_path):
    ca = make_test_ca(tmp_path, rsa.generate_private_key(65537, 2048))
    store = TlsStore(files(ca.sign(["example.org"])))
    seen = handshake(store.context_for(), "example.org")
    assert end_point_hash(store.context_for()) == hashlib.sha256(seen.der).digest()
