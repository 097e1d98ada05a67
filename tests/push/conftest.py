"""The tests' authority, and keys that are made once."""

import ssl

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.ca import CertificateAuthority, make_test_ca
from tests.support.push.scripted import FakeClock


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return make_test_ca(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def leaf(authority: CertificateAuthority):
    return authority.sign(["localhost", "127.0.0.1"])


@pytest.fixture
def server_context(authority: CertificateAuthority, leaf) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.certificate, leaf.key)
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
