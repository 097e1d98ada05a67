"""Waking phones; empty until the push service comes."""
