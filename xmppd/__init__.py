"""The server: streams, routing, modules."""
