"""Values that sections share: what a text may stand for."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from xmppd.addresses import Address
from xmppd.config_values import Addresses, ConfigPath, Domains, OptionalPath, Section, as_resolver


class Sample(Section):
    """A section of every kind."""

    path: ConfigPath = Path("data")
    maybe: OptionalPath = None
    listen: Addresses = ()
    domains: Domains = ()


def test_paths_start_from_the_folder_of_the_file():
    sample = Sample.model_validate({"maybe": "a/b"}, context={"base": Path("/srv")})
    assert (sample.path, sample.maybe) == (Path("/srv/data"), Path("/srv/a/b"))
    assert Sample.model_validate({"maybe": ""}).maybe is None


def test_one_text_stands_for_a_list_of_one():
    sample = Sample(listen="127.0.0.1:80", domains="Example.ORG")
    assert (sample.listen, sample.domains) == ((Address("127.0.0.1", 80),), ("example.org",))


def test_a_name_that_is_no_setting_is_refused():
    with pytest.raises(ValidationError):
        Sample(nothing=1)


def test_a_dns_server_is_named_by_its_ip_address():
    assert as_resolver("") is None
    assert as_resolver("127.0.0.1:53") == Address("127.0.0.1", 53)
    with pytest.raises(ValueError, match="IP address"):
        as_resolver("dns.example.org:53")
