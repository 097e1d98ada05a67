"""A kill run's book counts what is lost and what is doubled, and nothing else."""

from bench.ledger import Ledger, Way


def ledger_with(origin: str = "m1", *, acknowledged: bool = True) -> Ledger:
    """Return a book with one message from romeo to juliet."""
    ledger = Ledger()
    ledger.note_sent(origin, "romeo", "juliet")
    if acknowledged:
        ledger.note_acknowledged(origin)
    return ledger


def archive_both(ledger: Ledger, *entries: tuple[str, str]) -> None:
    ledger.note_archive("romeo", list(entries))
    ledger.note_archive("juliet", list(entries))


def test_a_message_delivered_and_in_both_archives_once_is_well() -> None:
    ledger = ledger_with()
    ledger.note_delivered("juliet", "m1", "10", Way.PUSHED)
    archive_both(ledger, ("m1", "10"))
    verdict = ledger.verdict()
    assert (verdict.acknowledged, verdict.lost, verdict.doubled) == (1, 0, 0)


def test_an_acknowledged_message_missing_in_one_archive_is_lost() -> None:
    ledger = ledger_with()
    ledger.note_delivered("juliet", "m1", "10", Way.PUSHED)
    ledger.note_archive("romeo", [("m1", "10")])
    ledger.note_archive("juliet", [])
    verdict = ledger.verdict()
    assert (verdict.lost, verdict.missing_in_recipients_archive, verdict.missing_in_senders_archive) == (1, 1, 0)


def test_an_acknowledged_message_that_never_arrives_is_lost() -> None:
    ledger = ledger_with()
    archive_both(ledger, ("m1", "10"))
    assert ledger.missing_deliveries() == ["m1"]
    assert ledger.verdict().lost == 1


def test_a_message_without_acknowledgement_may_be_lost() -> None:
    ledger = ledger_with(acknowledged=False)
    archive_both(ledger)
    verdict = ledger.verdict()
    assert (verdict.sent, verdict.acknowledged, verdict.lost, verdict.doubled) == (1, 0, 0, 0)


def test_the_same_stanza_id_pushed_after_it_was_fetched_is_doubled() -> None:
    ledger = ledger_with()
    ledger.note_delivered("juliet", "m1", "10", Way.FETCHED)
    ledger.note_delivered("juliet", "m1", "10", Way.PUSHED)
    archive_both(ledger, ("m1", "10"))
    verdict = ledger.verdict()
    assert (verdict.lost, verdict.doubled, verdict.delivered_twice) == (0, 1, 1)


def test_a_known_message_in_an_archive_read_from_an_earlier_point_is_well() -> None:
    ledger = ledger_with()
    ledger.note_delivered("juliet", "m1", "10", Way.PUSHED)
    ledger.note_delivered("juliet", "m1", "10", Way.FETCHED_AGAIN)
    archive_both(ledger, ("m1", "10"))
    assert ledger.verdict().doubled == 0


def test_one_origin_id_twice_in_an_archive_is_doubled() -> None:
    ledger = ledger_with()
    ledger.note_delivered("juliet", "m1", "10", Way.PUSHED)
    archive_both(ledger, ("m1", "10"), ("m1", "11"))
    verdict = ledger.verdict()
    assert (verdict.doubled, verdict.archived_twice, len(verdict.examples)) == (1, 1, 1)


def test_a_resent_message_seen_under_two_stanza_ids_is_counted_apart() -> None:
    ledger = ledger_with()
    ledger.note_delivered("juliet", "m1", "10", Way.PUSHED)
    ledger.note_delivered("juliet", "m1", "11", Way.PUSHED)
    archive_both(ledger, ("m1", "11"))
    verdict = ledger.verdict()
    assert (verdict.doubled, verdict.seen_under_two_stanza_ids) == (0, 1)
