"""The summary takes medians, and compares ours with the better peer in each figure's own direction."""

from typing import Any

from bench.__main__ import summarise, table, unrest
from bench.measures import Answer, Figure, Measure

MEASURE = Measure(
    "m", "a thing", (), (), 1, (Figure("cpu", "CPU", "µs"), Figure("rate", "rate", "/s", lower_is_better=False))
)


def rows() -> list[dict[str, Any]]:
    def answers(*pairs: tuple[float, float]) -> list[Answer]:
        return [Answer({"CPU": cpu, "rate": rate}, is_ok=True) for cpu, rate in pairs]

    return summarise(
        [MEASURE],
        {"m": {"xmppd": answers((9, 1), (10, 1000), (30, 5000)), "a": answers((40, 100)), "b": answers((20, 50))}},
    )


def test_ours_is_compared_with_the_better_peer() -> None:
    cpu, rate = rows()
    assert cpu["medians"] == {"xmppd": 10, "a": 40, "b": 20}
    assert cpu["ratio_to_best_peer"] == 0.5
    assert rate["ratio_to_best_peer"] == 10
    assert cpu["all_ok"]


def test_a_figure_that_one_server_lacks_leaves_its_cell_empty() -> None:
    only = summarise(
        [MEASURE], {"m": {"xmppd": [Answer({"CPU": 10.0}, is_ok=True)], "a": [Answer({"rate": 5.0}, is_ok=True)]}}
    )
    assert only[0]["ratio_to_best_peer"] is None
    assert "| a thing: CPU, µs | 10 |  |  |" in table(only)


def test_a_run_that_went_wrong_is_left_out_and_said() -> None:
    good, bad = Answer({"CPU": 10.0}, is_ok=True), Answer({"CPU": 1.0}, raw={"lost": 3, "dup": 0})
    row = summarise([MEASURE], {"m": {"xmppd": [good, bad]}})[0]
    assert row["medians"] == {"xmppd": 10}
    assert not row["all_ok"]
    assert bad.trouble() == {"lost": 3}


def test_a_machine_that_was_not_quiet_is_told() -> None:
    quiet, loud = Answer(noise={"other_cpu_pct": 2.0}), Answer(noise={"other_cpu_pct": 90.0})
    assert unrest({"m": {"xmppd": [quiet]}}) == ""
    assert "1 of 2 runs" in unrest({"m": {"xmppd": [quiet, loud]}})
