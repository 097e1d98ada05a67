"""Measurements: kill runs, and our figures beside those of other servers."""
