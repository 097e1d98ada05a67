"""Tests of storage: one contract for every backend, and what each backend has beside it."""
