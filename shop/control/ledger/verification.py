"""Full verifications: requested by staff or once a night, run by a live process as `manage.py verify`.

The run has its own process, so that reading everything delays no page and no stream.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, Protocol, TypeVar

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from relay.operations import Refused
from relay.operations.audit import demand_reason, record_intervention
from shop.control.ledger.models import Verification

#: A run whose process gave no sign of life for this time has died, and another process takes it.
SILENCE_SECONDS = 60.0
#: Reports are kept in the history without their differences beyond this number.
MOST_DIFFERENCES = 500
#: Seconds for the work in flight to end before the comparison.
WAIT_SECONDS = 10

_TAKE = """
update control_verification set begun_at = clock_timestamp(), seen_at = clock_timestamp(), step = 'starting'
where id = (select id from control_verification
            where ended_at is null
              and (begun_at is null or seen_at < clock_timestamp() - make_interval(secs => %s))
            order by id limit 1 for update skip locked)
returning id
"""

P = ParamSpec("P")
T = TypeVar("T")


class Runner(Protocol):
    """Runs functions that use the database outside the event loop: shop.live.database.Database."""

    async def run(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Return the result of `function`."""


def request(*, by: str, reason: str) -> Verification:
    """Request a full verification, and record it as an intervention.

    :raises Refused: `reason` is empty, or a verification is requested already.
    """
    demand_reason(reason)
    try:
        with transaction.atomic():
            requested = Verification.objects.create(requested_by=by, reason=reason.strip())
            record_intervention("verify", actor=by, reason=reason.strip())
    except IntegrityError as error:
        raise Refused("a full verification is running already: wait for its result") from error
    return requested


async def run(database: Runner, number: int) -> None:
    """Run the verification `number` and store its report."""
    command = [
        "nice",
        "-n",
        "10",
        sys.executable,
        str(settings.BASE_DIR / "manage.py"),
        "verify",
        "--json",
        "--wait",
        str(WAIT_SECONDS),
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,
    )
    try:
        errors, output = await asyncio.gather(_follow(process, database, number), _read(process))
        await process.wait()
        await database.run(_finish, number, output, errors)
    finally:
        with suppress(ProcessLookupError):
            process.kill()


async def _follow(process: asyncio.subprocess.Process, database: Runner, number: int) -> str:
    """Store each line of progress as the step of the run. Return the last lines."""
    assert process.stderr
    lines: list[str] = []
    async for line in process.stderr:
        lines = [*lines, line.decode(errors="replace").strip()][-5:]
        await database.run(_note_step, number, lines[-1])
    return "\n".join(lines)


async def _read(process: asyncio.subprocess.Process) -> str:
    assert process.stdout
    return (await process.stdout.read()).decode(errors="replace")


def take_requested() -> int | None:
    """Take the requested verification and return its number, or return None if no process has to run one."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [SILENCE_SECONDS])
        row = cursor.fetchone()
    return row[0] if row else None


def _note_step(number: int, step: str) -> None:
    Verification.objects.filter(pk=number).update(step=step[:300], seen_at=Now())


def _finish(number: int, output: str, errors: str) -> None:
    """Store the report, or the reason why there is none."""
    values: dict[str, Any] = {"ended_at": Now(), "step": ""}
    try:
        report = json.loads(output)
        report["found"] = len(report["differences"])
        report["differences"] = report["differences"][:MOST_DIFFERENCES]
        values["report"] = report
    except ValueError:
        values["error"] = errors[-1000:] or "manage.py verify ended without a report"
    Verification.objects.filter(pk=number).update(**values)
