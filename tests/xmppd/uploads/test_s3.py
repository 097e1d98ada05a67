"""S3: keys and URLs; what a real server makes of them is in tests/system/test_upload_s3.py."""

from datetime import UTC, datetime

import pytest

from xmppd.uploads.presign import Bucket
from xmppd.uploads.s3 import S3Store, open_s3
from xmppd.uploads.store import MediaError

NOW = datetime(2026, 1, 2, tzinfo=UTC)
JPG, BIN = "a" * 32 + ".jpg", "b" * 32 + ".bin"


@pytest.fixture
def store() -> S3Store:
    """A store on a port where nobody listens."""
    bucket = Bucket("http://127.0.0.1:9/bucket", "us-east-1", "us", "secret")
    return open_s3(bucket, "up", name="bucket", endpoint="http://127.0.0.1:9", path_style=True)


def test_what_may_be_shown_is_apart_from_the_rest(store: S3Store) -> None:
    assert (store.place(JPG), store.place(BIN)) == (f"up/media/{JPG}", f"up/files/{BIN}")


def test_an_upload_is_signed_with_length_and_type(store: S3Store) -> None:
    url = store.put_url(JPG, 10, "image/jpeg", NOW, 300)
    assert url.startswith(f"http://127.0.0.1:9/bucket/up/media/{JPG}?")
    assert "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost" in url
    assert "X-Amz-SignedHeaders=content-length%3Bhost" in store.put_url(BIN, 10, "", NOW, 300)


def test_a_download_says_what_the_store_is_to_answer(store: S3Store) -> None:
    url = store.get_url(BIN, {"Content-Disposition": "attachment"}, NOW, 300)
    assert "response-content-disposition=attachment" in url


async def test_a_store_that_is_away_is_a_fault_of_one_line(store: S3Store) -> None:
    with pytest.raises(MediaError, match=r"^media\.url: [^\n]+$"):
        await store.has(JPG)
