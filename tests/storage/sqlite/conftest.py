"""Quick retries, so that a test of a full disk takes no seconds."""

import pytest

from storage.sqlite import thread


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(thread, "LAST_RETRY_S", 0.05)
