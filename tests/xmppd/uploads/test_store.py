"""Stores: what sets them apart in an except clause."""

from xmppd.uploads.store import AlreadyThere, DirectStore, MediaError, MediaFull, MediaStore


def test_every_fault_of_a_store_is_a_media_error() -> None:
    assert issubclass(MediaFull, MediaError)
    assert issubclass(AlreadyThere, MediaError)


def test_a_store_that_clients_use_directly_is_a_store() -> None:
    assert issubclass(DirectStore, MediaStore)
