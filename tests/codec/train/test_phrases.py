"""The phrases."""

from codec.train.phrases import phrases


def test_each_language_has_phrases_and_a_weight():
    for weight, texts in phrases().values():
        assert weight > 0
        assert len(texts) >= 8
        assert all(text == text.strip() and text for text in texts)
