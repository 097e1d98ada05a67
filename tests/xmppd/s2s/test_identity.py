"""Whose certificate it is: names, dates, pins, and what hostile ones try."""

import hashlib
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.support.ca import make_test_ca, service, xmpp_address
from xmppd.s2s.identity import PeerCertificate, is_address, moment, shown

XMPP_ADDRESS = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
DNS_SRV = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")
SAN_OID = bytes.fromhex("0603551d11")


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return make_test_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def certificate(ca):
    """Return a function that signs a certificate and reads it as a trusted one."""
    numbers = itertools.count()

    def make(*names: str, chain_error: str | None = None, **more: object) -> PeerCertificate:
        leaf = ca.sign(list(names), file_name=f"leaf-{next(numbers)}", **more)
        return PeerCertificate.read(_der(leaf.certificate), chain_error)

    return make


def _der(path) -> bytes:
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)


def names(**kinds: str) -> PeerCertificate:
    """Return a certificate that has some names, without one."""
    return PeerCertificate(b"", None, datetime.max.replace(tzinfo=UTC), "", **{kind: (n,) for kind, n in kinds.items()})


def raw(type_id: x509.ObjectIdentifier, der: bytes) -> x509.OtherName:
    return x509.OtherName(type_id, der)


@pytest.mark.parametrize(
    ("name", "domain", "is_for"),
    [
        ("example.org", "example.org", True),
        ("EXAMPLE.org", "example.org", True),
        ("example.org", "EXAMPLE.ORG", True),
        ("example.org", "example.org.", True),
        ("example.org", "conference.example.org", False),
        ("conference.example.org", "example.org", False),
        ("example.org", "example.com", False),
        ("localhost", "localhost", True),
        ("xn--bcher-kva.example", "bücher.example", True),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example", True),
        ("xn--bcher-kva.example", "bucher.example", False),
        ("*.example.org", "conference.example.org", True),
        ("*.example.org", "bücher.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "a.b.example.org", False),
        ("*.example.org", "badexample.org", False),
        ("*.*.example.org", "a.b.example.org", False),
        ("a.*.example.org", "a.b.example.org", False),
        ("con*.example.org", "conference.example.org", False),
        ("*ference.example.org", "conference.example.org", False),
        ("*.org", "example.org", False),
        ("*", "example", False),
        ("*", "example.org", False),
        ("example.org", "*.example.org", False),
        ("*.example.org", "*.example.org", False),
        (".example.org", "example.org", False),
        ("example.org.", "example.org", False),
        ("*.0.0.1", "127.0.0.1", False),
    ],
)
def test_dns_names_match_whole_or_by_one_left_most_label(certificate, name, domain, is_for):
    assert certificate(name).is_for(domain) is is_for


def test_a_dns_name_that_is_an_address_speaks_for_no_address(certificate):
    dns = [x509.DNSName("127.0.0.1"), x509.DNSName("::1")]
    found = certificate("10.0.0.1", others=dns)  # and the first is an iPAddress
    assert not any(found.is_for(domain) for domain in ("127.0.0.1", "[::1]", "10.0.0.1"))
    assert certificate(others=[xmpp_address("[::1]")]).is_for("[::1]")


@pytest.mark.parametrize(
    ("name", "domain", "is_for"),
    [
        (xmpp_address("example.org"), "example.org", True),
        (xmpp_address("Example.ORG"), "example.org", True),
        (xmpp_address("bücher.example"), "bücher.example", True),
        (xmpp_address("xn--bcher-kva.example"), "bücher.example", True),
        (xmpp_address("ann@example.org"), "example.org", False),
        (xmpp_address("example.org/orchard"), "example.org", False),
        (xmpp_address("*.example.org"), "conference.example.org", False),
        (xmpp_address(""), "example.org", False),
        (xmpp_address("a." * 300 + "example"), "a." * 300 + "example", True),
        (xmpp_address("example.org\0.evil.example"), "example.org", False),
        (service("_xmpp-server.example.org"), "example.org", True),
        (service("_XMPP-Server.Example.org"), "example.org", True),
        (service("_xmpps-server.example.org"), "example.org", True),
        (service("_xmpp-server.xn--bcher-kva.example"), "bücher.example", True),
        (service("_xmpp-client.example.org"), "example.org", False),
        (service("_xmpp-server._tcp.example.org"), "example.org", False),
        (service("_xmpp-server.*.example.org"), "conference.example.org", False),
        (service("_xmpp-server."), "example.org", False),
        (service("xmpp-server.example.org"), "example.org", False),
        (service("example.org"), "example.org", False),
        (service("_xmpp-server.example.org\0"), "example.org", False),
        (x509.UniformResourceIdentifier("xmpp:example.org"), "example.org", False),
        (x509.RFC822Name("admin@example.org"), "example.org", False),
    ],
)
def test_names_of_other_sorts_match_only_as_their_documents_say(certificate, name, domain, is_for):
    assert certificate(others=[name]).is_for(domain) is is_for


@pytest.mark.parametrize(
    "name",
    [
        raw(XMPP_ADDRESS, b"\x16\x0bexample.org"),  # not UTF8String
        raw(XMPP_ADDRESS, b"\x0c\x0cexample.org"),  # longer than it is
        raw(XMPP_ADDRESS, b"\x0c\x0aexample.org"),  # shorter
        raw(XMPP_ADDRESS, b"\x0c\x81\x0bexample.org"),  # not the shortest form: not DER
        raw(XMPP_ADDRESS, b"\x0c\x82\x00\x0bexample.org"),
        raw(XMPP_ADDRESS, b"\x0c\x80example.org\0\0"),  # of indefinite length
        raw(XMPP_ADDRESS, b"\x0c\x0cexample.org\xff"),
        raw(DNS_SRV, b"\x0c\x18_xmpp-server.example.org"),  # not IA5String
        raw(DNS_SRV, b"\x16\x19_xmpp-server.example.org\xff"),
        raw(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.6"), b"\x0c\x0bexample.org"),  # another sort of name
    ],
)
def test_malformed_names_are_nobodys(certificate, name):
    good = raw(name.type_id, b"\x0c" + bytes([len(name.value) - 2]) + b"Z" * (len(name.value) - 2))
    made = certificate(others=[good])
    found = PeerCertificate.read(made.der.replace(good.value, name.value), None)
    assert found.der != made.der and name.value in found.der
    assert not found.is_for("example.org")
    assert found.verdict("example.org") == "it is for nobody, not for example.org"


def test_a_malformed_name_does_not_hide_a_good_one(certificate):
    assert certificate("example.org", others=[raw(XMPP_ADDRESS, b"\x0c\x01\xff")]).is_for("example.org")


@given(st.binary(max_size=40), st.sampled_from([XMPP_ADDRESS, DNS_SRV]))
def test_no_bytes_in_a_name_raise(certificate, value, type_id):
    der = b"\x30" + bytes([len(value)]) + value  # the builder wants DER around it; what is inside is ours
    for content in (der, b"\x0c" + bytes([len(value)]) + value, b"\x16" + bytes([len(value)]) + value):
        assert certificate(others=[raw(type_id, content)]).is_for("nobody.example") is False


def test_the_common_name_counts_for_nothing(ca):
    leaf = ca.sign(["example.org"], file_name="common")
    certificate = x509.load_pem_x509_certificate(leaf.certificate.read_bytes())
    der = certificate.public_bytes(Encoding.DER)
    assert "example.org" in certificate.subject.rfc4514_string()
    without = der.replace(SAN_OID, bytes.fromhex("0603551d63"))  # its extension is of a sort that nobody knows
    found = PeerCertificate.read(without, None)
    assert PeerCertificate.read(der, None).is_for("example.org") and not found.is_for("example.org")
    assert found.verdict("example.org") == "it is for nobody, not for example.org"


def test_a_zero_byte_ends_no_name(certificate):
    found = certificate("example.org-evil.example")
    spoilt = PeerCertificate.read(found.der.replace(b"example.org-evil.example", b"example.org\0evil.example"), None)
    assert not spoilt.is_for("example.org")
    assert not spoilt.is_for("example.org\0evil.example")
    assert "\0" not in str(spoilt.verdict("example.org"))


def test_bytes_that_are_not_ascii_are_nobodys_name(certificate):
    found = certificate("good.example", "examplexorg.example")
    spoilt = PeerCertificate.read(found.der.replace(b"examplexorg", b"example\xfforg"), None)
    assert not spoilt.is_for("example\xfforg.example")
    assert spoilt.verdict("example.org") is not None


@pytest.mark.parametrize(
    "domain", ["", ".", "a..b", "\0", "ann@example.org", "example.org/x", "-", "\ud800", "x" * 5000]
)
def test_what_is_no_domain_is_never_proven(certificate, domain):
    assert certificate("example.org", "*.example.org").is_for(domain) is False


@given(st.binary(max_size=300))
def test_what_is_no_certificate_proves_nothing(der):
    found = PeerCertificate.read(der, None)
    assert found.chain_error == found.verdict("example.org") == "it cannot be read"
    assert found.is_expired(datetime.now(UTC))
    assert not found.is_for("example.org")


def test_no_changed_byte_makes_it_raise(certificate):
    der = certificate("example.org", others=[xmpp_address("example.org")]).der
    for place in range(len(der)):
        spoilt = PeerCertificate.read(der[:place] + bytes([der[place] ^ 0x55]) + der[place + 1 :], None)
        assert spoilt.is_for("example.com") is False
        assert spoilt.verdict("example.com")


def test_many_names_are_looked_at_to_a_limit(certificate):
    found = certificate(*(f"host-{number}.example" for number in range(1100)))
    assert found.is_for("host-999.example") and not found.is_for("host-1000.example")


def test_the_proof_ends_with_the_first_certificate_of_the_path(certificate):
    end = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)
    leaf = certificate("example.org", not_after=end)
    assert leaf.not_after == end
    assert not leaf.is_expired(end - timedelta(seconds=1)) and leaf.is_expired(end)
    sooner = PeerCertificate.read(leaf.der, None, end - timedelta(days=1))
    later = PeerCertificate.read(leaf.der, None, end + timedelta(days=1))
    assert (sooner.not_after, later.not_after) == (end - timedelta(days=1), end)


def test_the_verdict_of_a_good_one_is_none_until_it_expires(certificate):
    end = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)
    found = certificate("example.org", not_after=end)
    assert found.verdict("example.org") is None
    assert found.verdict("example.org", now=end - timedelta(days=1)) is None
    assert found.verdict("example.org", now=end) == "it expired on 2040-01-02 03:04 UTC"


def test_the_chain_comes_before_the_names(certificate):
    found = certificate("example.org", chain_error="it is self-signed")
    assert found.verdict("example.org") == found.verdict("example.com") == "it is self-signed"


def test_the_verdict_on_another_domain_names_some_of_its_own(certificate):
    found = certificate("a.example", "b.example", "c.example", "d.example", "e.example")
    assert found.verdict("x.example") == "it is for a.example, b.example, c.example and 2 more, not for x.example"


def test_pins_are_of_the_certificate_or_of_its_key(certificate):
    found = certificate("example.org", chain_error="it is self-signed")
    key = x509.load_der_x509_certificate(found.der).public_key()
    key_pin = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    pin = hashlib.sha256(found.der).hexdigest()
    assert (found.fingerprint_sha256, found.key_sha256) == (pin, key_pin)
    with_colons = ":".join(pin[at : at + 2] for at in range(0, 64, 2)).upper()
    for one in (pin, key_pin, with_colons, f" {pin}\n"):
        assert found.verdict("example.org", [one]) is None
        assert found.verdict("example.org", iter(["00" * 32, one])) is None


def test_a_pin_needs_neither_name_nor_date(certificate):
    found = certificate("other.example", chain_error="it expired")
    assert found.verdict("example.org", [found.key_sha256], now=found.not_after + timedelta(days=1)) is None


def test_where_there_are_pins_an_authority_does_not_count(certificate):
    found = certificate("example.org")
    assert found.verdict("example.org") is None
    assert found.verdict("example.org", ["00" * 32]) == (
        f"it is none of those pinned: its SHA-256 is {found.fingerprint_sha256}"
    )


@pytest.mark.parametrize("pin", ["", " ", ":", "0", "00" * 32])
def test_no_empty_pin_fits_a_key_that_cannot_be_read(certificate, pin):
    found = replace(certificate("example.org"), key_sha256="")
    assert not found.is_pinned([pin])
    assert found.verdict("example.org", [pin]) is not None


def test_addresses_are_told_from_names():
    assert is_address("127.0.0.1") and is_address("[::1]") and is_address("999.1.1.1")
    assert not is_address("example.org") and not is_address("1.2.3.4.example")


def test_what_is_shown_of_a_stranger_is_one_short_line():
    assert shown("a\nb\x1b[31mü\0") == "a\\nb\\x1b[31m\\xfc\\x00"
    assert len(shown("\n" * 500)) <= 83
    assert moment(datetime(2026, 1, 2, 3, 4, tzinfo=UTC)) == "2026-01-02 03:04 UTC"
