"""Push gateways for tests: scripted ones, and servers that check what the real ones check."""
