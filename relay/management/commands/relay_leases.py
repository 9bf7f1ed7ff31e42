from typing import Any

from relay.management.operation import Operation
from relay.operations.leases import read_holdings, read_members


class Command(Operation):
    help = "Show the running relays, and the lease of each shard: owner, epoch and remaining seconds."

    def operate(self, **options: Any) -> None:
        """Read and print the leases."""
        holdings, members = read_holdings(), read_members()
        lines = [f"{len(members)} relays, {sum(h.remaining_seconds > 0 for h in holdings)} shards held"]
        lines += [f"{m.owner}: {m.shards} shards, {m.remaining_seconds:.1f} s left" for m in members]
        lines += [f"{'shard':>5}{'epoch':>8}{'left':>9}  owner"] if holdings else []
        lines += [
            f"{h.shard:>5}{h.epoch:>8}"
            + (f"{h.remaining_seconds:>7.1f} s" if h.remaining_seconds > 0 else "     free")
            + f"  {h.owner}"
            for h in holdings
        ]
        self.print_result({"members": members, "shards": holdings}, lines, as_json=options["json"])
