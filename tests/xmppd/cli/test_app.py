"""The commands as one program: help, errors, exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from xmppd.cli import app, status
from xmppd.cli.errors import CommandError

ROOT = Path(__file__).parents[3]


def test_every_command_is_there(run):
    done = run("--help")
    assert done.code == 0
    for command in ("init", "serve", "check", "status", "top", "account"):
        assert f"\n  {command}" in done.out


def test_without_arguments_it_shows_its_help(run):
    assert run().out == run("--help").out


def test_it_says_which_version_it_is(run):
    assert run("--version").out == f"xmppd {app.own_version()}\n"


@pytest.mark.parametrize(
    "arguments",
    [("dance",), ("serve", "--danse"), ("serve", "--config"), ("account",), ("account", "add"), ("serve", "extra")],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(run, arguments):
    done = run(*arguments)
    assert done.code == 2
    assert done.err.startswith("xmppd: ")
    assert done.err.count("\n") == 1


def test_wrong_settings_are_a_line_each_and_exit_code_2(folder, run):
    done = run("status", "--set", "c2s.lisen=1", "--set", "log.levl=2")
    assert done.code == 2
    assert done.err == (
        "xmppd: --set: c2s.lisen is not a setting; did you mean c2s.listen?\n"
        "xmppd: --set: log.levl is not a setting; did you mean log.level?\n"
    )


def test_what_cannot_be_done_is_one_line_and_exit_code_1(folder, run, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise CommandError("it cannot be done")

    monkeypatch.setattr(status, "settings", fail)
    done = run("status")
    assert (done.code, done.err) == (1, "xmppd: it cannot be done\n")


def test_an_interrupt_is_not_a_traceback(folder, run, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "settings", interrupt)
    assert run("status").code == app.EXIT_INTERRUPTED


def test_it_runs_as_a_python_module(empty):
    done = subprocess.run(
        [sys.executable, "-m", "xmppd", "status"],
        cwd=empty,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("xmppd: there is no xmppd.toml in this folder")
