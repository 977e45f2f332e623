"""What goes wrong with a backup.

BackupError
+-- StoreAway      a store was not reached, refused or broke off: look at it and run the command again
+-- NotEmpty       the target holds something already: restoring never overwrites
+-- BrokenBackup   no backup, one that was not finished, or files that were changed
"""

from __future__ import annotations


class BackupError(Exception):
    """The root of what this package raises; its text is for people."""


class StoreAway(BackupError):
    pass


class NotEmpty(BackupError):
    pass


class BrokenBackup(BackupError):
    pass
