"""The conformance suite: it tests any XMPP server and shares no code with this one."""
