"""URLs that let others use an S3-compatible store for a while: AWS's Signature Version 4 in the query.

Clients' libraries sign the host alone. A slot must say how long the file is and of which type, so these headers are signed as well: the
store itself then refuses anything else.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_EXPIRES_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and who may use it. `url`: of the bucket, without a slash at its end; `region`: "us-east-1" where there is none."""

    url: str
    region: str
    access_key: str
    secret_key: str


def presign(
    bucket: Bucket,
    method: str,
    key: str,
    now: datetime,
    expires_s: int,
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> str:
    """Return a URL for one request.

    Args:
        key: within the bucket. now: aware, in UTC. expires_s: up to `MAX_EXPIRES_S`.
        headers: which the request must carry as they are, by names in small letters; the host is always among them.
        query: more of the query, `response-content-disposition` for one.
    """
    parts = urlsplit(f"{bucket.url}/{quote(key, safe='/-_.~')}")
    signed = {"host": parts.netloc, **(headers or {})}
    names = ";".join(sorted(signed))
    day, moment = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{day}/{bucket.region}/s3/aws4_request"
    asked = {
        **(query or {}),
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{bucket.access_key}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(min(expires_s, MAX_EXPIRES_S)),
        "X-Amz-SignedHeaders": names,
    }
    encoded = "&".join(f"{_encode(name)}={_encode(asked[name])}" for name in sorted(asked))
    lines = "".join(f"{name}:{signed[name].strip()}\n" for name in sorted(signed))
    request = f"{method}\n{parts.path}\n{encoded}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
    text = f"{ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key_ = f"AWS4{bucket.secret_key}".encode()
    for part in (day, bucket.region, "s3", "aws4_request"):
        key_ = hmac.digest(key_, part.encode(), "sha256")
    signature = hmac.digest(key_, text.encode(), "sha256").hex()
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{encoded}&X-Amz-Signature={signature}"


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")
