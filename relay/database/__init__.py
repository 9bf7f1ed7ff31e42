"""The database of the relay: `connection` and `transaction` as in django.db, for the alias RELAY["DATABASE"]."""

from typing import Any, cast

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from relay.conf import configuration


class _Connection:
    """Passes each use of an attribute to the connection of this thread to the alias RELAY["DATABASE"]."""

    def __getattr__(self, name: str) -> Any:
        return getattr(connections[configuration().database], name)


connection = cast(BaseDatabaseWrapper, _Connection())
