"""Signed URLs, against what AWS's documentation works out for the same request."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from xmppd.uploads.presign import MAX_EXPIRES_S, Bucket, presign

NOW = datetime(2013, 5, 24, tzinfo=UTC)
EXAMPLE = Bucket(
    "https://examplebucket.s3.amazonaws.com",
    "us-east-1",
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
)


def query(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


def test_it_is_what_aws_works_out() -> None:
    url = presign(EXAMPLE, "GET", "test.txt", NOW, 86_400)
    assert query(url)["X-Amz-Signature"] == ["aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"]
    assert url.startswith("https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&")


def test_length_and_type_are_signed() -> None:
    def signature(**headers: str) -> tuple[str, str]:
        found = query(
            presign(EXAMPLE, "PUT", "a", NOW, 300, headers={k.replace("_", "-"): v for k, v in headers.items()})
        )
        return found["X-Amz-SignedHeaders"][0], found["X-Amz-Signature"][0]

    names, first = signature(content_length="10", content_type="image/png")
    assert names == "content-length;content-type;host"
    others = [
        signature(content_length="11", content_type="image/png"),
        signature(content_length="10", content_type="text/html"),
    ]
    assert len({first, *(found for _, found in others)}) == 3


def test_more_of_the_query_is_signed_and_encoded() -> None:
    url = presign(
        EXAMPLE, "GET", "a b/é", NOW, 300, query={"response-content-disposition": "attachment; filename*=UTF-8''x"}
    )
    assert "/a%20b/%C3%A9?" in url
    assert "response-content-disposition=attachment%3B%20filename%2A%3DUTF-8%27%27x" in url


def test_no_url_is_good_for_longer_than_stores_take() -> None:
    assert query(presign(EXAMPLE, "GET", "a", NOW, 10**9))["X-Amz-Expires"] == [str(MAX_EXPIRES_S)]
