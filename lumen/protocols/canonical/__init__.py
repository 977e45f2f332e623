"""The canonical model: what a request, an answer and a stream say, in no vendor's words.

Dialects `decode` their wire format into it and `encode` it back; no other verbs. Pure: no I/O, no clock, no random.
"""
