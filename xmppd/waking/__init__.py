"""Who is woken, of what, and what they are told: push as XMPP sees it. Knows stanzas and registrations, no streams."""
