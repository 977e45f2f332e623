"""A scripted provider of language models, for demos, tests, load and chaos. See README.md.

It speaks the dialects of four vendors' APIs and stands alone: it imports nothing of Lumen, so that an error in our own
reading of a wire format cannot hide behind the same error here.
"""
