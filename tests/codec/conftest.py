"""How property tests run here: few examples, and no deadline that a busy machine could miss."""

from hypothesis import settings

settings.register_profile("quick", max_examples=60, deadline=None)
settings.load_profile("quick")
