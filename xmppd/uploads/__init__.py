"""Files that people send: slots, quotas, and where the bytes are. Knows neither XMPP nor HTTP."""
