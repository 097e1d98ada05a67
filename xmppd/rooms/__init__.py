"""Rooms (XEP-0045): their state and rules, without sockets; `xmppd/modules/xep_0045_muc.py` puts them into a server."""
