"""The relay's own HTTP/1.1 client: as little work per request and per read as the protocol allows.

`transport` sends requests, `pool` keeps connections, `connection` is the state machine of one of them, `response` is
what its caller holds.
"""
