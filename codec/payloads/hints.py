"""XEP-0334: Message Processing Hints.

The hints are empty, so their tags are all there is: `message.has(NO_STORE)`, `Element(NO_STORE)`.
"""

NS = "urn:xmpp:hints"

NO_PERMANENT_STORE = f"{NS} no-permanent-store"
NO_STORE = f"{NS} no-store"
NO_COPY = f"{NS} no-copy"
STORE = f"{NS} store"
