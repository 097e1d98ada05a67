"""Settings of uploads: which stores there are, and which URLs make sense."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from xmppd.config import Config
from xmppd.config_media import MediaConfig


def media(**settings: object) -> MediaConfig:
    return MediaConfig.model_validate(settings, context={"base": Path("/srv")})


def test_files_are_on_disk_from_the_folder_of_the_configuration():
    assert media(url="file:data/media").url == "file:/srv/data/media"
    config = Config.model_validate({}, context={"base": Path("/srv")})
    assert config.media_url == "file:/srv/data/media"


def test_a_bucket_stays_as_it_is():
    assert media(url="s3://bucket/prefix").url == "s3://bucket/prefix"


@pytest.mark.parametrize("url", ["ftp://x", "file:", "s3:", "s3://", "bucket"])
def test_other_stores_are_refused(url: str):
    with pytest.raises(ValidationError, match="is not known"):
        media(url=url)


@pytest.mark.parametrize("name", ["public_url", "cdn_url", "s3_endpoint"])
@pytest.mark.parametrize("url", ["upload.example.org", "https://a b", "https://x/?y", "javascript:1"])
def test_what_others_are_to_open_is_a_plain_web_address(name: str, url: str):
    with pytest.raises(ValidationError):
        media(**{name: url})


def test_a_bucket_needs_keys():
    config = Config.model_validate({"media": {"url": "s3://bucket"}})
    assert any("media.s3_access_key" in line for line in config.contradictions())
    config = Config.model_validate({"media": {"url": "s3://bucket", "s3_access_key": "a", "s3_secret_key": "b"}})
    assert not any("media." in line for line in config.contradictions())
