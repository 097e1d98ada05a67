"""From the settings of [push] to gateways."""

import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from push.gateway import BadCredentials
from push.webpush import WebPushGateway
from xmppd.clock import Clock
from xmppd.config import Config
from xmppd.config_reference import markdown
from xmppd.push_gateways import make_gateways, outbox_options


def pem(key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def config(base: Path, **push: object) -> Config:
    return Config.model_validate({"push": push}, context={"base": base})


@pytest.fixture
def files(tmp_path):
    (tmp_path / "key.p8").write_text(pem(ec.generate_private_key(ec.SECP256R1())))
    account = {
        "type": "service_account",
        "project_id": "demo-1",
        "private_key": pem(rsa.generate_private_key(65537, 2048)),
        "client_email": "push@demo-1.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    (tmp_path / "fcm.json").write_text(json.dumps(account))
    return tmp_path


APNS = {"apns_topics": "org.example.app", "apns_key": "key.p8", "apns_key_id": "K", "apns_team_id": "T"}


async def test_each_gateway_that_is_set_up_is_made(files):
    names = [gateway.name for gateway in make_gateways(config(files, fcm_account="fcm.json", **APNS), Clock())]
    assert names == ["apns", "fcm", "webpush"]
    assert make_gateways(config(files, webpush=False), Clock()) == []


async def test_the_vapid_key_is_made_once_and_read_by_its_owner_alone(tmp_path):
    keys = []
    for _ in range(2):
        (gateway,) = make_gateways(config(tmp_path), Clock())
        assert isinstance(gateway, WebPushGateway)
        keys.append(gateway.application_key)
    assert keys[0] == keys[1]
    assert stat.S_IMODE((tmp_path / "data/vapid.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "push",
    [
        APNS | {"apns_key": "missing.p8"},
        APNS | {"apns_key": "fcm.json"},
        APNS | {"apns_team_id": ""},
        APNS | {"apns_key": None},
        {"fcm_account": "key.p8"},
        {"fcm_account": "missing.json"},
        {"webpush_key": "fcm.json"},
        {"ca_file": "key.p8"},
        {"ca_file": "missing.pem"},
    ],
)
async def test_a_wrong_file_is_one_line_without_its_secret(files, push):
    with pytest.raises(BadCredentials) as found:
        make_gateways(config(files, **push), Clock())
    assert "\n" not in str(found.value) and "PRIVATE" not in str(found.value) and "MI" not in str(found.value)


@pytest.mark.parametrize(
    "push", [{"apns_environment": "moon"}, {"fcm_url": "x"}, {"webpush_contact": "x"}, {"timeout_s": 0}]
)
def test_settings_that_cannot_be_are_refused(tmp_path, push):
    with pytest.raises(ValidationError):
        config(tmp_path, **push)


def test_a_lease_outlives_every_attempt(tmp_path):
    options = outbox_options(config(tmp_path, timeout_s=60, gateway_per_s=0).push)
    assert options.lease_s / 2 > 60 and options.gateway_per_s == 0


def test_the_reference_shows_where_gateways_are():
    assert '`push.apns_production` | `"api.push.apple.com:443"`' in markdown()
