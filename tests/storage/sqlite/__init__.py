"""What is particular to the SQLite backend."""
