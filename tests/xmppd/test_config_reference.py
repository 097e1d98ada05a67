"""The settings as text."""

import tomllib
from pathlib import Path

from xmppd.config import Config
from xmppd.config_reference import annotated, markdown, settings, toml_value
from xmppd.config_sources import RESERVED, load_config

ROOT = Path(__file__).parents[2]


def test_the_page_in_docs_is_made_from_the_settings():
    assert (ROOT / "docs/configuration.md").read_text() == markdown(), "run `make reference`"


def test_every_setting_is_on_the_page():
    for section, name, _ in settings():
        assert f"| `{section}.{name}` |" in markdown()


def test_names_of_parts_to_come_are_on_the_page():
    for name in RESERVED:
        assert f"`{name}`" in markdown()


def test_an_annotated_file_sets_what_was_chosen(tmp_path):
    file = tmp_path / "xmppd.toml"
    file.write_text(annotated({"server.domains": ["a.example"], "c2s.require_tls": False}))
    assert load_config(file).server.domains == ("a.example",)


def test_every_default_in_an_annotated_file_is_the_default(tmp_path):
    lines = annotated({}).splitlines()
    text = "\n".join(
        line.removeprefix("#") if line.startswith("#") and not line.startswith("# ") else line for line in lines
    )
    shown = Config.model_validate(tomllib.loads(text), context={"base": tmp_path})
    usual = Config.model_validate(
        {"c2s": {"direct_tls": "[::]:5223"}, "s2s": {"listen": "[::]:5269"}}, context={"base": tmp_path}
    )
    assert shown == usual


def test_values_are_toml():
    for value in (True, 3, 0.5, 'a "b" \\ é', ["x"], ("x", "y"), {}):
        assert tomllib.loads(f"v = {toml_value(value)}")["v"] == (list(value) if isinstance(value, tuple) else value)
    assert toml_value(10.0) == "10"
