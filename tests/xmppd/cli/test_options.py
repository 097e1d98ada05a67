"""From options to settings."""

import stat
from pathlib import Path

import pytest

from xmppd.cli.options import make_data_folder, settings
from xmppd.config_sources import ConfigError


def test_without_any_settings_the_way_on_is_named(empty):
    with pytest.raises(ConfigError, match="xmppd init"):
        settings(None, None)


def test_the_file_in_the_folder_is_taken(folder):
    assert settings(None, None).server.domains == ("example.org", "other.example")


def test_set_alone_is_enough(empty):
    assert settings(None, ["c2s.require_tls=false"]).server.data_dir == empty / "data"


def test_the_environment_alone_is_enough(empty, monkeypatch):
    monkeypatch.setenv("XMPPD_C2S__REQUIRE_TLS", "false")
    assert settings(None, None).server.data_dir == empty / "data"


def test_another_file_may_be_named(folder):
    (folder / "other.toml").write_text("[c2s]\nrequire_tls = false")
    assert settings(Path("other.toml"), None).server.domains == ("localhost",)


def test_the_data_folder_is_for_its_owner_alone(folder):
    make_data_folder(settings(None, None))
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700


def test_a_data_folder_that_cannot_be_made_is_one_line(folder):
    (folder / "data").write_text("a file")
    with pytest.raises(ConfigError, match=r"^server.data_dir: .* cannot be made: File exists$"):
        make_data_folder(settings(None, None))
