"""What the tests of federation share: servers joined in memory."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.s2s import Net


@pytest.fixture
async def net(monkeypatch: Any) -> AsyncIterator[Net]:
    """Servers that reach each other, `await net.island("example.org")`; all ends with the test."""
    made = Net(monkeypatch)
    yield made
    await made.close()
