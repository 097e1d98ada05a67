"""Whether clients will believe a certificate."""

from pathlib import Path

import pytest

from tests.support.ca import make_test_ca
from xmppd.certificates import make_self_signed
from xmppd.cli.trust import why_not_trusted
from xmppd.config import TLSConfig
from xmppd.tls import TlsStore


def store(certificate: Path, key: Path) -> TlsStore:
    return TlsStore(TLSConfig(certificate=certificate, key=key))


@pytest.fixture
def authority(tmp_path):
    return make_test_ca(tmp_path)


def test_a_certificate_of_a_known_authority_is_trusted(authority):
    leaf = authority.sign(["a.example"], file_name="leaf")
    context = store(leaf.certificate, leaf.key).context_for("a.example")
    assert why_not_trusted(context, "a.example", authority.path) is None


def test_an_unknown_authority_is_the_reason(authority):
    leaf = authority.sign(["a.example"], file_name="leaf")
    context = store(leaf.certificate, leaf.key).context_for("a.example")
    assert "issuer" in str(why_not_trusted(context, "a.example", None))


def test_a_self_signed_certificate_is_the_reason(tmp_path):
    make_self_signed(["a.example"], tmp_path / "c", tmp_path / "k")
    context = store(tmp_path / "c", tmp_path / "k").context_for("a.example")
    assert "self-signed" in str(why_not_trusted(context, "a.example", None))


def test_another_name_is_the_reason(authority):
    leaf = authority.sign(["b.example"], file_name="leaf")
    context = store(leaf.certificate, leaf.key).context_for("a.example")
    assert "a.example" in str(why_not_trusted(context, "a.example", authority.path))


def test_a_file_without_authorities_is_an_error(authority, tmp_path):
    leaf = authority.sign(["a.example"], file_name="leaf")
    context = store(leaf.certificate, leaf.key).context_for("a.example")
    (tmp_path / "empty").write_text("")
    for name in ("empty", "nope"):
        with pytest.raises(OSError):
            why_not_trusted(context, "a.example", tmp_path / name)
