"""Making a dictionary from stanzas: `python -m codec.train`."""
