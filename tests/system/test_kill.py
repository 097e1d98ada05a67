"""A short kill run: nothing acknowledged is lost or doubled when the server is killed, or stopped, under load."""

import json
from pathlib import Path

import pytest

from bench.kill import parse, run_all

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.mark.parametrize("stop", ["sigkill", "sigterm"])
def test_a_server_that_ends_under_load_loses_and_doubles_nothing(tmp_path: Path, stop: str) -> None:
    load = ["--runs", "2", "--pairs", "20", "--rate", "500", "--seed", "5", "--go-on", "1"]
    options = parse([*load, "--until-stop", stop, "--kill-between", "1", "2"])
    figures = run_all(options, tmp_path, print)
    assert (figures["lost"], figures["doubled"]) == (0, 0), json.dumps(figures)
    assert int(str(figures["acknowledged"])) == figures["sent"]
    assert int(str(figures["acknowledged"])) > 1_000
