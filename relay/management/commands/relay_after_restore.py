from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from relay.consumer.origin import Foreign
from relay.management.operation import Operation
from relay.operations.restore import Restore, recover

ADVICE = """\
Consumers have not applied these events, and will drop them. Kafka keeps them.
- An event that the outbox does not have is lost with its transaction: repeat its cause if it is still wanted. --json
  shows the bodies.
- Readers of the topics outside this project may have applied these events: send them this list.
- If the database was neither restored nor failed over, somebody else has written to Kafka: close that access first."""


class Command(Operation):
    help = (
        "Find records in Kafka that are not from the outbox, after the database was restored or failed over or after "
        "somebody else wrote to Kafka. List them, record them as explained, and redrive the keys that they have parked."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options of a change."""
        super().add_arguments(parser)
        self.add_change_arguments(parser)

    def operate(self, **options: Any) -> None:
        """Explain the foreign records and print them."""
        self.take_time()
        done = recover(
            actor=options["actor"], reason=options["reason"], dry_run=options["dry_run"], tell=self._tell_progress
        )
        data = {
            "records": done.records,
            "foreign": [_describe(found) for found in done.found],
            "redriven": done.redriven,
            "dry_run": options["dry_run"],
        }
        self.print_result(data, _format(done, dry_run=options["dry_run"]), as_json=options["json"])

    def _tell_progress(self, records: int) -> None:
        if records % 100_000 == 0:
            self.stderr.write(f"{records:,} records are read", self.style.NOTICE)


def _describe(found: Foreign) -> dict[str, Any]:
    sent = found.delivery
    return {
        "topic": sent.topic,
        "key": sent.key,
        "sequence": sent.sequence,
        "event_id": sent.event_id,
        "type": sent.type,
        "body": sent.value.decode(errors="backslashreplace"),
        "partition": sent.partition,
        "offset": sent.offset,
        "in_outbox": found.event and found.event._asdict(),
        "difference": found.describe(),
    }


def _format(done: Restore, *, dry_run: bool) -> Iterator[str]:
    keys = {found.key for found in done.found}
    for found in sorted(done.found, key=lambda found: found.delivery[:3]):
        yield f"{found.delivery.topic}/{found.delivery.key}: {found.describe()}"
    if done.found:
        yield ADVICE
    would = "would be " if dry_run else ""
    yield f"{done.records:,} records read; {len(done.found):,} foreign records in {len(keys):,} keys {would}explained"
    yield f"{len(done.redriven):,} parked keys {would}redriven"
