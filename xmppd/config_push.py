"""The settings of [push]: how devices of people who are away are woken."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from xmppd.config_values import Count, OptionalPath, Positive, Section, Texts, as_address

AnAddress = Annotated[Any, BeforeValidator(as_address)]


class PushConfig(Section):
    """[push]: waking the devices of people who are away (docs/push.md)."""

    run: Literal["server", "service"] = Field(
        "server",
        description="Who sends: the server itself, or `xmppd push` beside it (on a storage that several processes share). "
        "App servers (XEP-0357) are always the server's part.",
    )
    content: Literal["none", "sender", "full"] = Field(
        "none",
        description="What gateways and app servers may read of a message, for accounts that do not say: none, sender or full.",
    )
    rooms: Literal["always", "on-mention", "never"] = Field(
        "on-mention", description="Which messages of rooms wake, for accounts that do not say."
    )
    headlines: bool = Field(False, description="Whether headlines wake, for accounts that do not say.")
    quiet_in_use: bool = Field(
        True,
        description="Let devices sleep while another client of the account is in use: connected, and neither away nor inactive.",
    )
    unacknowledged_s: float = Field(
        10,
        ge=1,
        le=600,
        description="A client that has not acknowledged a message after so many seconds counts as gone.",
    )
    max_devices: Positive = Field(20, le=1_000, description="Devices and app servers of one account.")
    registrations_per_hour: Count = Field(30, description="New ones of one account. 0: no limit.")
    app_servers: Texts = Field(
        (), description="Domains of the app servers that clients may name (XEP-0357). Empty: any but our own."
    )
    app_server_per_s: Count = Field(20, description="Notifications a second to one app server's domain. 0: no limit.")
    app_server_summary: bool = Field(
        True, description="Tell app servers a summary: counts, and what the account's policy allows."
    )
    apns_topics: Texts = Field((), description="Bundle ids of your iOS apps, the usual one first. Empty: no APNs.")
    apns_key: OptionalPath = Field(None, description="The .p8 file of Apple's token key.")
    apns_key_id: str = Field("", description="Its key id, ten characters.")
    apns_team_id: str = Field("", description="The team id, ten characters.")
    apns_certificate: OptionalPath = Field(
        None, description="PEM file: a certificate for APNs and its key, instead of the token key."
    )
    apns_environment: Literal["production", "sandbox"] = Field(
        "production", description="Of devices that name none: production, or sandbox for builds out of Xcode."
    )
    apns_production: AnAddress = Field("api.push.apple.com:443", description="Where APNs is.")
    apns_sandbox: AnAddress = Field("api.sandbox.push.apple.com:443", description="Where its sandbox is.")
    fcm_account: OptionalPath = Field(
        None, description="The JSON file of a Google service account that may send messages. Empty: no FCM."
    )
    fcm_url: str = Field(
        "https://fcm.googleapis.com", pattern="^https?://[^ ?#]+$", description="Where FCM is, without a path."
    )
    fcm_token_url: str = Field(
        "",
        pattern="^(https?://[^ ?#]+)?$",
        description="Where access tokens are given out. Empty: what the account says.",
    )
    webpush: bool = Field(True, description="Serve browsers and UnifiedPush (Web Push).")
    webpush_key: OptionalPath = Field(
        None,
        description="PEM file with the VAPID key, P-256. Devices are bound to it: keep it. "
        "Empty: vapid.pem in server.data_dir, made at the first start.",
    )
    webpush_contact: str = Field(
        "",
        pattern="^(mailto:.+|https://.+)?$",
        description="How push services reach you: mailto: or https:. Empty: https:// and the first domain.",
    )
    webpush_private: bool = Field(
        False, description="Also reach push services in the server's own networks. Endpoints come from users."
    )
    ca_file: OptionalPath = Field(
        None, description="PEM file of the authorities whose word on gateways is taken, instead of the system's."
    )
    placeholder: str = Field(
        "New message",
        min_length=1,
        max_length=200,
        description="What an iPhone shows when nothing of the message may be.",
    )
    concurrency: Positive = Field(50, le=1_000, description="Notifications on their way to one gateway at once.")
    gateway_per_s: Count = Field(500, description="Notifications a second to one gateway. 0: no limit.")
    device_per_minute: Count = Field(
        30, description="Notifications a minute to one device, lasting; calls as many again. 0: no limit."
    )
    device_burst: Positive = Field(20, description="Notifications to one device at once.")
    expire_s: float = Field(86_400, ge=1, le=2_419_200, description="How long a notification is tried.")
    call_expire_s: float = Field(60, ge=1, le=3_600, description="How long a call is.")
    timeout_s: float = Field(20, ge=1, le=60, description="How long one attempt may take.")
