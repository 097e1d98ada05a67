from hypothesis import given
from hypothesis import strategies as st

from xmppd.opaque_ids import TEXT_CHARS, OpaqueIds

IDS = OpaqueIds(b"a secret of thirty-two bytes....")
ids = st.integers(min_value=1, max_value=(1 << 63) - 1)


@given(ids)
def test_a_text_leads_back_to_its_id(id_: int) -> None:
    text = IDS.text_of(id_)
    assert len(text) == TEXT_CHARS
    assert IDS.id_of(text) == id_


@given(st.text(max_size=20))
def test_a_text_that_is_none_of_ours_is_nothing_or_stands_for_its_own_id(text: str) -> None:
    id_ = IDS.id_of(text)
    assert id_ is None or IDS.text_of(id_) == text


def test_ids_in_a_row_look_unrelated() -> None:
    texts = [IDS.text_of(1_838_646_881_605_241_856 + step) for step in range(100)]
    assert texts != sorted(texts) and texts != sorted(texts, reverse=True)
    assert len({text[:4] for text in texts}) > 90


def test_another_secret_gives_other_texts() -> None:
    other = OpaqueIds(b"another secret of 32 bytes......")
    assert other.text_of(7) != IDS.text_of(7)
