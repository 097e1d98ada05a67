"""Storage in one SQLite file: group-committed by one writer thread, read beside it."""
