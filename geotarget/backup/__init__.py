"""Backups of the one-machine form: a copy of a database that others go on writing to, and back.

A backup is one SQLite file that any tool can open, complete in itself. The keys are other files
beside it, on request only: whoever has both can sign webhooks. What still waits in a broker is in
neither, and a database on PostgreSQL has tools of its own.
"""

from geotarget.backup.copying import Contents, Progress, database_file
from geotarget.backup.restoring import Restored, restore
from geotarget.backup.taking import Taken, take

__all__ = ["Contents", "Progress", "Restored", "Taken", "database_file", "restore", "take"]
