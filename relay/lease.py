"""At most one relay forwards at a time: a row with owner, epoch and end, by the database's clock."""

import time

from django.db import connection

LEASE_SECONDS = 5

# Taken when free, run out or already ours. The epoch changes with the owner only.
_TAKE = """
insert into relay_lease as l (name, owner, epoch, until)
values (%(name)s, %(owner)s, 1, clock_timestamp() + make_interval(secs => %(seconds)s))
on conflict (name) do update set
    owner = excluded.owner,
    epoch = l.epoch + (l.owner <> excluded.owner)::int,
    until = excluded.until
where l.owner = excluded.owner or l.until < clock_timestamp()
returning epoch
"""


class Lease:
    """The right to forward, held by `owner` under the lease `name`."""

    def __init__(self, name: str, owner: str) -> None:
        self.name = name
        self.owner = owner
        self.epoch = 0
        self._renew_at = 0.0

    def hold(self) -> bool:
        """Tell whether the lease is ours, taking or renewing it well before it ends."""
        if self.epoch and time.monotonic() < self._renew_at:
            return True
        return self.take()

    def take(self) -> bool:
        """Take or renew the lease; tell whether it is ours now."""
        with connection.cursor() as cursor:
            cursor.execute(_TAKE, {"name": self.name, "owner": self.owner, "seconds": LEASE_SECONDS})
            row = cursor.fetchone()
        self.epoch = row[0] if row else 0
        self._renew_at = time.monotonic() + LEASE_SECONDS / 3
        return row is not None

    def release(self) -> None:
        """End the lease at once, so that another relay need not wait for it to run out."""
        with connection.cursor() as cursor:
            cursor.execute(
                "update relay_lease set until = '-infinity' where name = %s and owner = %s", [self.name, self.owner]
            )
