"""The self-signed certificate of a first start."""

import contextlib
import ipaddress
import os
import ssl
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from xmppd.certificates import dns_name, make_self_signed, private_pem


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "xmppd.pem", tmp_path / "xmppd.key"


def names_of(path):
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return value.get_values_for_type(x509.DNSName), value.get_values_for_type(x509.IPAddress)


def test_certificate_names_the_domains_and_what_comes_with_them(paths):
    make_self_signed(["example.org", "bücher.example"], *paths)
    assert names_of(paths[0]) == (
        [
            "example.org",
            "conference.example.org",
            "upload.example.org",
            "xn--bcher-kva.example",
            "conference.xn--bcher-kva.example",
            "upload.xn--bcher-kva.example",
        ],
        [],
    )


def test_localhost_is_named_by_its_addresses_too(paths):
    make_self_signed(["localhost"], *paths)
    names, addresses = names_of(paths[0])
    assert names == ["localhost", "conference.localhost", "upload.localhost"]
    assert addresses == [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]


@pytest.mark.parametrize("domain", ["192.0.2.1", "[2001:db8::1]"])
def test_domain_that_is_an_address_is_named_as_one(paths, domain):
    make_self_signed([domain], *paths)
    assert names_of(paths[0]) == ([], [ipaddress.ip_address(domain.strip("[]"))])


def test_certificate_is_valid_for_825_days_on_p_256(paths):
    now = datetime(2030, 1, 1, tzinfo=UTC)
    make_self_signed(["example.org"], *paths, now=now)
    certificate = x509.load_pem_x509_certificate(paths[0].read_bytes())
    assert certificate.not_valid_before_utc == now - timedelta(hours=1)
    assert certificate.not_valid_after_utc == now + timedelta(days=825)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_client_that_trusts_the_file_accepts_the_server(paths):
    make_self_signed(["example.org"], *paths)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(*paths)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context(cafile=str(paths[0]))
    client = trusting.wrap_bio(to_client, to_server, server_hostname="conference.example.org")
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert client.version() == "TLSv1.3"
    assert client.getpeercert()["subject"] == ((("commonName", "example.org"),),)


def test_key_can_be_read_by_its_owner_alone_whatever_the_umask(paths):
    before = os.umask(0)
    try:
        make_self_signed(["example.org"], *paths)
    finally:
        os.umask(before)
    assert stat.S_IMODE(paths[1].stat().st_mode) == 0o600


@pytest.mark.parametrize("existing", [0, 1])
def test_existing_file_is_never_overwritten(paths, existing):
    paths[existing].write_text("precious")
    with pytest.raises(FileExistsError, match=paths[existing].name):
        make_self_signed(["example.org"], *paths)
    assert paths[existing].read_text() == "precious"
    assert not paths[1 - existing].exists()


def test_no_domain_is_an_error(paths):
    with pytest.raises(ValueError, match="domain"):
        make_self_signed([], *paths)


def test_long_domain_is_cut_in_the_subject_alone(paths):
    domain = ".".join(["a" * 60] * 3)
    make_self_signed([domain], *paths)
    assert names_of(paths[0])[0][0] == domain


@pytest.mark.parametrize(
    ("domain", "name"), [("example.org", "example.org"), ("bücher.example", "xn--bcher-kva.example")]
)
def test_u_labels_become_a_labels(domain, name):
    assert dns_name(domain) == name


def test_private_key_is_written_unencrypted():
    key = ec.generate_private_key(ec.SECP256R1())
    assert serialization.load_pem_private_key(private_pem(key), None).private_numbers() == key.private_numbers()
