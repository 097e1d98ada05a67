"""Marks of tests on a real Cassandra: the first of them starts the node, or even fetches it."""

import pytest

ON_CASSANDRA = [pytest.mark.system, pytest.mark.timeout(300)]
