"""What is looked at, one thing after the other."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.ca import make_test_ca
from xmppd.addresses import Address
from xmppd.certificates import make_self_signed
from xmppd.cli import findings
from xmppd.config import Config


def config(folder: Path, **sections: object) -> Config:
    return Config.model_validate(sections, context={"base": folder})


def with_certificate(
    folder: Path, *names: str, domain: str = "a.example", days: int = 100, age_days: int = 0
) -> Config:
    """Return settings whose certificate is for `names`, made so many days ago for so many days."""
    make_self_signed(names, folder / "c.pem", folder / "k.pem", days, datetime.now(UTC) - timedelta(days=age_days))
    return config(folder, server={"domains": domain}, tls={"certificate": "c.pem", "key": "k.pem"})


def test_no_server_is_no_fault(tmp_path):
    found, status = findings.running_server(config(tmp_path))
    assert (found[0].state, status) == ("ok", None)


def test_a_running_server_tells_its_faults(folder, stand_in):
    settings = config(folder)
    assert findings.running_server(settings)[0][0].detail == "running, pid 1"
    stand_in.status["faults"] = ["the disk is full"]
    (found,), status = findings.running_server(settings)
    assert (found.state, found.detail) == ("fault", "the disk is full")
    assert status is not None


def test_a_data_folder_that_will_be_made_is_sound(tmp_path):
    (found,) = findings.data_folder(config(tmp_path, server={"data_dir": "a/b/c"}))
    assert found.state == "ok"
    assert "will be made" in found.detail
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_data_folder_is_a_fault(tmp_path):
    (tmp_path / "data").write_text("")
    (found,) = findings.data_folder(config(tmp_path))
    assert found.state == "fault"


def test_no_certificate_is_a_warning(tmp_path):
    (found,) = findings.certificates(config(tmp_path))
    assert found.state == "warning"


def test_a_sound_certificate_shows_its_days(tmp_path):
    found, *_ = findings.certificates(with_certificate(tmp_path, "a.example"))
    assert found.state == "ok"
    assert "99 days left" in found.detail
    assert "does not name" not in found.detail


def test_a_certificate_of_another_name_is_a_fault(tmp_path):
    found, *_ = findings.certificates(with_certificate(tmp_path, "b.example"))
    assert found.state == "fault"
    assert "is for b.example" in found.detail


def test_a_certificate_near_its_end_is_a_warning(tmp_path):
    found, *_ = findings.certificates(with_certificate(tmp_path, "a.example", days=10))
    assert found.state == "warning"
    assert "9 days" in found.detail


def test_a_certificate_past_its_end_is_a_fault(tmp_path):
    found, *_ = findings.certificates(with_certificate(tmp_path, "a.example", days=10, age_days=20))
    assert found.state == "fault"
    assert "expired" in found.detail


def test_a_certificate_that_clients_do_not_trust_is_a_warning(tmp_path):
    _, found = findings.certificates(with_certificate(tmp_path, "a.example"))
    assert (found.about, found.state) == ("trust in a.example", "warning")
    assert "self-signed" in found.detail


def test_an_authority_of_our_own_is_trusted(tmp_path):
    authority = make_test_ca(tmp_path)
    leaf = authority.sign(["a.example"], file_name="leaf")
    files = {"certificate": str(leaf.certificate), "key": str(leaf.key), "ca_file": str(authority.path)}
    _, found = findings.certificates(config(tmp_path, server={"domains": "a.example"}, tls=files))
    assert found.state == "ok"
    _, found = findings.certificates(config(tmp_path, server={"domains": "a.example"}, tls=files | {"ca_file": "nope"}))
    assert found.state == "fault"


def test_a_missing_certificate_is_a_fault_that_names_the_file(tmp_path):
    (found,) = findings.certificates(config(tmp_path, tls={"certificate": "nope.pem"}))
    assert found.state == "fault"
    assert "nope.pem" in found.detail


@pytest.mark.parametrize(
    ("names", "wanted", "covered"),
    [
        (("a.example",), "A.example", True),
        (("*.a.example",), "conference.a.example", True),
        (("*.a.example",), "a.example", False),
        (("*.a.example",), "x.y.a.example", False),
        (("*.example",), "a.example", False),
        ((), "a.example", False),
    ],
)
def test_a_wildcard_stands_for_one_label_below_a_domain(names, wanted, covered):
    assert findings.covers(names, wanted) is covered


def test_storage_that_is_not_there_is_not_made(tmp_path):
    (found,) = findings.storage(config(tmp_path))
    assert found.state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_storage_shows_how_many_accounts_it_has(folder, run):
    run("account", "add", "romeo@example.org", "--password-stdin", stdin="x\n")
    (found,) = findings.storage(config(folder, server={"domains": ["example.org"]}))
    assert found.detail.endswith("xmppd.db, 1 account")


def test_a_broken_database_is_a_fault(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "xmppd.db").write_bytes(b"no database" * 1000)
    (found,) = findings.storage(config(tmp_path))
    assert found.state == "fault"


def test_a_taken_port_is_a_fault_unless_the_server_has_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = config(tmp_path, c2s={"listen": address}, http={"listen": []})
        (found,) = findings.ports(settings, None)
        assert (found.about, found.state) == (f"c2s.listen {address}", "fault")
        (found,) = findings.ports(settings, {"addresses": {"c2s": [address]}})
        assert found.detail == "in use by the running server"


def test_ports_for_other_servers_count_when_they_are_talked_to(tmp_path):
    s2s = {"listen": "127.0.0.1:0", "direct_tls": "127.0.0.1:0"}
    elsewhere = {"c2s": {"listen": []}, "http": {"listen": []}}
    found = findings.ports(config(tmp_path, s2s=s2s, **elsewhere), None)
    assert [one.about for one in found] == ["s2s.listen 127.0.0.1:0", "s2s.direct_tls 127.0.0.1:0"]
    assert list(findings.ports(config(tmp_path, s2s=s2s | {"enabled": False}, **elsewhere), None)) == []


def test_a_free_port_is_sound():
    assert findings.why_taken(Address("127.0.0.1", 0)) is None


def test_a_host_that_is_not_ours_is_a_fault():
    assert findings.why_taken(Address("192.0.2.1", 0))
