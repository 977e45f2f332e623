"""Limits of keys, accounts, groups and channels, shared with the other edges through auth."""
