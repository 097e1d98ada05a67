"""The settings of uploads, [media]."""

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from xmppd.config_values import Count, Positive, Seconds, Section, resolved


class MediaConfig(Section):
    """[media]: files that people send (XEP-0363)."""

    enabled: bool = Field(True, description="Take files; only while http.listen has an address.")
    prefix: str = Field(
        "upload",
        pattern="^[a-z0-9-]+$",
        description="Clients of example.org find the service at upload.example.org; another word there.",
    )
    url: str = Field(
        "",
        description="Where files are kept: file:PATH, or s3://BUCKET or s3://BUCKET/PREFIX for any S3-compatible store, which clients "
        "then write to and read from directly. Empty: file:media in server.data_dir.",
    )
    public_url: str = Field(
        "",
        pattern="^(https?://[^ ?#]+)?$",
        description="Where others reach http.listen, usually a proxy that does TLS: https://upload.example.org; {domain} stands for the "
        "virtual host. Empty: https://upload.DOMAIN, and for localhost the first address of http.listen.",
    )
    cdn_url: str = Field(
        "",
        pattern="^(https?://[^ ?#]+)?$",
        description="What stands in front of the keys of an S3 store where pictures, audio and video are read: a CDN on a domain of its "
        "own, which needs to read media/ alone. Empty: they are read by signed URLs of the store, to which we redirect.",
    )
    max_file_bytes: Positive = Field(104_857_600, le=5_368_709_120, description="The largest file.")
    quota_bytes: Count = Field(2_147_483_648, description="Files of one account together. 0: no limit.")
    daily_bytes: Count = Field(1_073_741_824, description="What one account may upload within 24 hours. 0: no limit.")
    max_files: Count = Field(10_000, description="Files of one account. 0: no limit.")
    open_slots: Count = Field(100, description="Slots that one account may have and not use yet. 0: no limit.")
    slot_s: Seconds = Field(
        300, ge=10, le=86_400, description="How long a slot is good: an upload must begin within it."
    )
    expire_days: Count = Field(60, description="Remove files after so many days. 0: never.")
    s3_endpoint: str = Field(
        "", pattern="^(https?://[^ ?#]+)?$", description="The S3 server, as clients reach it too. Empty: Amazon's."
    )
    s3_region: str = Field("us-east-1", description="Its region; most other servers take any.")
    s3_path_style: bool = Field(True, description="The bucket is in the path of URLs. false: in the host name.")
    s3_access_key: str = Field("", description="Who we are to the store.")
    s3_secret_key: SecretStr = Field(
        SecretStr(""), description="And its secret; XMPPD_MEDIA__S3_SECRET_KEY keeps it out of files."
    )

    @field_validator("url")
    @classmethod
    def _resolve(cls, value: str, info: ValidationInfo) -> str:
        scheme, _, path = value.partition(":")
        if scheme == "file" and path:
            return f"file:{resolved(path, info)}"
        if value and not (scheme == "s3" and path.startswith("//") and path.strip("/")):
            raise ValueError(f'"{value}" is not known; there are "file:PATH" and "s3://BUCKET"')
        return value
