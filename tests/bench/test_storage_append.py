"""The measurement of appends, on a small scale."""

import asyncio
import json
from pathlib import Path

import pytest

from bench.storage_append import measure, parse


@pytest.mark.parametrize("words", [[], ["--idle"]])
def test_a_run_commits_every_message_and_gives_its_figures(tmp_path: Path, words: list[str]) -> None:
    arguments = parse(["--messages", "300", "--in-flight", "20", "--owners", "10", *words])
    figures = asyncio.run(measure(arguments, tmp_path / "bench.db"))
    assert json.loads(json.dumps(figures)) == figures
    assert figures["messages"] == 300
    assert isinstance(figures["messages_per_commit"], float) and 1 <= figures["messages_per_commit"] <= 20
    assert isinstance(figures["messages_per_s"], int) and figures["messages_per_s"] > 0
