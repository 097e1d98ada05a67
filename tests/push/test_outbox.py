"""The outbox against gateways that do as they are told."""
