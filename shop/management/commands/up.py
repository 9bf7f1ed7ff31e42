"""Run the whole shop with PostgreSQL, Kafka and Valkey on this machine."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from shop.embedded import postgres, run_files
from shop.embedded.addresses import list_addresses, show_addresses
from shop.embedded.checks import CannotBegin, check_outside_parts, check_ports, check_security
from shop.embedded.logs import log_message
from shop.embedded.parts import Part, import_programs, list_parts
from shop.embedded.processes import ProcessRecord, write_atomically
from shop.embedded.supervisor import StartFailed, Supervisor


class Command(BaseCommand):
    """`manage.py up`: returns after Ctrl-C or SIGTERM, when all parts have stopped."""

    help = "Start all parts of the shop, restart those that crash, and stop all of them on Ctrl-C."
    requires_system_checks = ()  # each started process runs its own checks

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--only",
            nargs="+",
            metavar="PART",
            help="start only these parts",
        )

    def handle(self, *args: Any, only: list[str] | None, **options: Any) -> None:
        try:
            lock = run_files.Lock()
            record = ProcessRecord(run_files.PROCESSES)
            if ended := record.end_leftovers(postgres.find_processes):
                log_message(f"ended the remaining processes of a killed supervisor: {', '.join(ended)}")
            run_files.clear()
            parts = _choose(list_parts(), only)
            check_security()
            check_ports(parts)
            check_outside_parts()
            Supervisor(parts, record).run(
                meanwhile=lambda: _import_programs(parts),
                when_ready=lambda: _announce({part.name for part in parts}),
            )
            run_files.PROCESSES.unlink(missing_ok=True)
            lock.release()
        except (run_files.AnotherSupervisor, CannotBegin, StartFailed) as error:
            raise CommandError(str(error)) from error


def _choose(parts: list[Part], only: list[str] | None) -> list[Part]:
    """Return the parts named in `only` and the jobs that these parts wait for, or all parts if `only` is None.

    :raises CommandError: a name in `only` is unknown.
    """
    if only is None:
        return parts
    known = {part.name for part in parts if not part.is_job}
    if unknown := sorted(set(only) - known):
        raise CommandError(f"unknown part {', '.join(unknown)}: choose from {', '.join(sorted(known))}")
    needed = {job for part in parts if part.name in only for job in part.after}
    return [part for part in parts if part.name in only or (part.is_job and part.name in needed)]


def _import_programs(parts: list[Part]) -> None:
    if any(part.after and not part.is_job for part in parts):
        import_programs()


def _announce(running: set[str]) -> None:
    addresses = list_addresses()
    write_atomically(run_files.READY, addresses)
    show_addresses(addresses, with_web="web" in running)
    log_message(f"all parts are healthy; press Ctrl-C to stop them. Data: {settings.VAR_DIR}")
