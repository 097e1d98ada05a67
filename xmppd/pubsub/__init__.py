"""Publish-subscribe (XEP-0060): an account's nodes, who may do what with them, and how they are kept. It knows no stanzas."""
