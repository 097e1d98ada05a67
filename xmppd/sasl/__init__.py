"""SASL, one mechanism a file."""
