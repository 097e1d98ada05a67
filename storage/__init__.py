"""Storage: one interface, a folder for each backend."""
