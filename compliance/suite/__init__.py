"""Checks, one document a file."""
