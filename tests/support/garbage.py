"""Counts what only the garbage collector can free: reference cycles cost memory until it runs, and a pause when it does."""

import gc
from collections.abc import Callable


def garbage_of(action: Callable[[], object]) -> int:
    """Return how many objects in reference cycles an action leaves behind."""
    while gc.collect():
        pass  # what others left, finalizers included
    gc.disable()
    try:
        action()
        return gc.collect()
    finally:
        gc.enable()
