"""Payloads that more than one module uses."""
