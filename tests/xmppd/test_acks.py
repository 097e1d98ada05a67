"""The counting of XEP-0198: never more is acknowledged than is durable, never less is kept than was not acknowledged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.element import Element
from codec.stanza import Message
from storage.interface import Commit, StorageError
from xmppd.acks import MODULO, NS, Acks, counter_of
from xmppd.errors import StreamError


class Watched(Acks):
    """Counts the calls."""

    def __init__(self, limit: int = 100) -> None:
        self.progress = 0
        self.overflows = 0
        super().__init__("token", self._progressed, limit, self._overflowed)

    def _progressed(self) -> None:
        self.progress += 1

    def _overflowed(self) -> None:
        self.overflows += 1

    def ask_h(self) -> int | None:
        self.ask()
        return self.answer_due()


def sent(acks: Acks, count: int) -> list[tuple[Message, int]]:
    """Have some stanzas sent, as `Resource` does."""
    stanzas = [(Message.build(id=str(number)), number) for number in range(count)]
    for entry in stanzas:
        acks.keep(*entry)
    return stanzas


# inbound


def test_what_waits_for_nothing_is_acknowledged_at_once():
    acks = Watched()
    assert acks.ask_h() == 0
    acks.took(None)
    acks.took(None)
    assert acks.ask_h() == 2
    assert acks.answer_due() is None, "one answer for one question"


def test_what_is_not_committed_is_not_acknowledged():
    acks, commit = Watched(), Commit()
    acks.took(None)
    acks.took(commit)
    assert acks.ask_h() is None
    assert acks.progress == 0
    commit.finish()
    assert acks.progress == 1
    assert acks.answer_due() == 2


def test_commit_that_is_done_already_counts_at_once():
    acks, commit = Watched(), Commit()
    commit.finish()
    acks.took(commit)
    assert acks.ask_h() == 1


def test_stanza_behind_one_that_waits_is_acknowledged_after_it():
    acks, commit = Watched(), Commit()
    acks.took(commit)
    acks.took(None)
    assert acks.ask_h() is None
    commit.finish()
    assert acks.answer_due() == 2


def test_commits_that_finish_out_of_order_are_acknowledged_in_order():
    acks = Watched()
    first, second = Commit(), Commit()
    acks.took(first)
    acks.took(second)
    acks.ask()
    second.finish()
    assert (acks.durable, acks.progress) == (0, 0)
    first.finish()
    assert acks.answer_due() == 2


def test_stanzas_of_one_batch_share_its_commit():
    acks, commit = Watched(), Commit()
    for _ in range(50):
        acks.took(commit)
    assert acks.waiting is not None and len(acks.waiting) == 1
    commit.finish()
    assert acks.ask_h() == 50


def test_nobody_is_told_of_progress_that_nobody_asked_for():
    acks, commit = Watched(), Commit()
    acks.took(commit)
    commit.finish()
    assert acks.progress == 0


def test_failed_commit_is_never_acknowledged_nor_anything_behind_it():
    acks = Watched()
    good, bad, later = Commit(), Commit(), Commit()
    for commit in (good, bad, None, later):
        acks.took(commit)
    acks.ask()
    later.finish()
    good.finish()
    bad.finish(StorageError("disk"))
    assert acks.is_failed
    assert acks.progress >= 1
    assert acks.durable == 1
    assert acks.answer_due() is None
    acks.took(None)
    assert acks.durable == 1


def test_commit_that_has_failed_already_is_seen():
    acks, commit = Watched(), Commit()
    commit.finish(StorageError("disk"))
    acks.took(commit)
    assert acks.is_failed
    assert acks.progress == 1


def test_client_that_asks_faster_than_storage_commits_still_gets_answers():
    acks, answered = Watched(), []
    commits = [Commit() for _ in range(10)]
    for number, commit in enumerate(commits):
        acks.took(commit)
        acks.ask()
        if number >= 2:
            commits[number - 2].finish()  # storage is always two behind
        answered.append(acks.answer_due())
    assert [h for h in answered if h] == sorted({h for h in answered if h})
    assert len([h for h in answered if h]) >= 3
    for commit in commits:
        commit.finish()
    assert acks.answer_due() == 10
    assert acks.answer_due() is None


@given(st.lists(st.sampled_from(["took", "took nothing", "finish", "ask"]), max_size=60), st.randoms())
def test_h_never_falls_and_never_passes_what_is_durable(steps, chooser):
    acks, commits, highest = Watched(), [], 0
    for step in steps:
        if step == "took":
            commits.append((acks.handled + 1, Commit()))
            acks.took(commits[-1][1])
        elif step == "took nothing":
            acks.took(None)
        elif step == "ask":
            acks.ask()
        elif commits:
            chooser.choice(commits)[1].finish()
        h = acks.answer_due()
        if h is not None:
            assert h >= highest
            highest = h
        assert acks.durable == min([at - 1 for at, commit in commits if not commit.done], default=acks.handled)
    for _, commit in commits:
        commit.finish()
    assert acks.durable == acks.handled
    assert acks.answer_due() in (None, acks.handled)


# outbound


def test_more_stanzas_than_may_wait_are_told_once():
    acks = Watched(limit=3)
    sent(acks, 3)
    assert acks.overflows == 0
    sent(acks, 5)
    assert acks.overflows == 1


def test_more_bytes_than_may_wait_are_told_once():
    acks = Watched()
    acks.max_bytes = 100_000
    large = Message.build(Element("jabber:client body", {}, ("x" * 30_000,)))
    for number in range(3):
        acks.keep(large, number)
    assert acks.overflows == 0
    for number in range(3):
        acks.keep(large, number)
    assert acks.overflows == 1


def test_bytes_that_were_acknowledged_or_given_up_do_not_wait_any_more():
    acks = Watched()
    stanzas = sent(acks, 4)
    before = acks.size_bytes
    acks.acknowledge(2)
    assert acks.size_bytes == before / 2
    assert acks.give_up() == stanzas[2:]
    assert (acks.size_bytes, len(acks.unacked)) == (0, 0)


def test_acknowledged_stanzas_are_given_back_oldest_first():
    acks = Watched()
    stanzas = sent(acks, 5)
    assert acks.acknowledge(2) == stanzas[:2]
    assert acks.acknowledge(2) == []
    assert acks.acknowledge(5) == stanzas[2:]
    assert not acks.unacked


@pytest.mark.parametrize("h", [6, MODULO - 1])
def test_more_than_was_sent_cannot_be_acknowledged(h):
    acks = Watched()
    sent(acks, 5)
    with pytest.raises(ValueError, match="acknowledged"):
        acks.acknowledge(h)
    assert len(acks.unacked) == 5


def test_less_than_before_cannot_be_acknowledged():
    acks = Watched()
    sent(acks, 5)
    acks.acknowledge(4)
    with pytest.raises(ValueError, match="acknowledged"):
        acks.acknowledge(3)


def test_counters_wrap_at_32_bits():
    acks = Watched()
    acks.sent = acks.acked = MODULO - 2
    stanzas = sent(acks, 4)
    assert acks.acknowledge(1) == stanzas[:3]
    acks.handled = acks.durable = MODULO - 1
    acks.took(None)
    assert acks.ask_h() == 0


def test_any_answer_of_the_client_lets_us_ask_again():
    acks = Watched()
    sent(acks, 3)
    acks.r_sent_at = 3
    acks.acknowledge(2)  # it has handled two by now: without another request we would never learn of the third
    assert acks.r_sent_at is None


# as it stands on the wire


def test_more_than_was_sent_ends_the_stream_with_both_numbers() -> None:
    acks = Watched()
    entries = sent(acks, 2)
    assert acks.take(1) == entries[:1]
    with pytest.raises(StreamError, match="undefined-condition") as caught:
        acks.take(3)
    assert caught.value.app == Element(f"{NS} handled-count-too-high", {"h": "3", "send-count": "2"})


@pytest.mark.parametrize(
    ("text", "h"), [("0", 0), ("007", 7), (str(MODULO - 1), MODULO - 1), (str(MODULO), None), ("-1", None), ("٣", None)]
)
def test_a_counter_is_an_unsigned_number_of_32_bits(text: str, h: int | None) -> None:
    assert counter_of(Element(f"{NS} a", {"h": text})) == h
    assert counter_of(Element(f"{NS} a")) is None
