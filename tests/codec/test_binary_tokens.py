"""Token tables."""

import pytest

from codec.binary_cbor import Malformed
from tests.codec.binary_samples import SHIPPED


@pytest.mark.parametrize("look_up", ["namespace", "tag", "attribute", "shape", "value", "escaped_value", "chunk"])
def test_numbers_that_stand_for_nothing_are_malformed(look_up):
    with pytest.raises(Malformed):
        getattr(SHIPPED.tables, look_up)(1_000_000)


def test_numbers_stand_for_names_and_values():
    tables = SHIPPED.tables
    assert tables.shape(0).tag == f"{tables.shape(0).ns} {tables.shape(0).name}"
    assert tables.namespace(0) in {ns for ns, _ in tables.tags}
    assert tables.attribute(0) == tables.attributes[0]
    assert tables.tag(0) == tables.tags[0]
    assert tables.value(0) == tables.values[0]
    assert tables.escaped_value(0)
    assert tables.chunk(0) is tables.chunk(0)
