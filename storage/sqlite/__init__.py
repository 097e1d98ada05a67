"""SQLite: everything on one machine."""
