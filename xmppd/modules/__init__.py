"""What the server does for clients: one XEP a file."""
