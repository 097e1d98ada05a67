"""Bytes to events and back; no input or output of its own."""
