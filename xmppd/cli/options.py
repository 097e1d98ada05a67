"""The options that every command with settings has, and how they become the settings."""

import os
from pathlib import Path
from typing import Annotated

import typer

from codec.jid import InvalidJID, prepare_domainpart
from xmppd.config import Config
from xmppd.config_sources import ENVIRONMENT_PREFIX, ConfigError, find_file, load_config

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="The settings; else xmppd.toml in this folder.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="SECTION.KEY=VALUE", help="One setting, over the file's; may be repeated."),
]


def settings(config: Path | None, sets: list[str] | None) -> Config:
    """Return the settings of a command.

    Raises:
        ConfigError: they are wrong, or there are none at all.
    """
    file = find_file(config)
    in_environment = any(name.startswith(ENVIRONMENT_PREFIX) and "__" in name for name in os.environ)
    if file is None and not sets and not in_environment:
        raise ConfigError(["there is no xmppd.toml in this folder; `xmppd init` writes one, --config names another"])
    return load_config(file, sets or (), os.environ)


def prepared_domain(text: str) -> str:
    """Return a domain that a command was given, prepared.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return prepare_domainpart(text)
    except InvalidJID as error:
        raise typer.BadParameter(f'"{text}" is no domain: {error}') from None


def make_data_folder(config: Config) -> None:
    """Make the folder of all local state, for its owner alone.

    Raises:
        ConfigError: it cannot be made.
    """
    folder = config.server.data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError([f"server.data_dir: {folder} cannot be made: {error.strerror}"]) from None
