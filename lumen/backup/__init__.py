"""Backup and restore of a whole Lumen: `create` and `restore` of `lumen.backup.run` (ADR 0021)."""
