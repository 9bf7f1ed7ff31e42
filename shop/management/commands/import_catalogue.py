"""Import the catalogue from a CSV file."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from inventory.services import receive_opening_stock
from shop.catalogue.csv_file import (
    COLUMNS,
    UnableToReadCatalogue,
    read_catalogue,
    save_catalogue,
)


class Command(BaseCommand):
    """Creates or updates products from a file, or changes nothing if any row is invalid."""

    help = (
        f"Import products from a CSV file with the columns {', '.join(COLUMNS)}. Prices are in minor units of the "
        "currency. The column stock is the opening stock of new products; the stock of other products is unchanged."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            rows = read_catalogue(file)
        except UnableToReadCatalogue as error:
            for mistake in error.mistakes:
                self.stderr.write(f"{file.name}: {mistake}")
            raise CommandError(f"{len(error.mistakes)} mistake(s) in {file}: nothing was imported") from error
        with transaction.atomic():
            created, updated = save_catalogue(rows)
            stocked = receive_opening_stock({row.sku: row.stock for row in rows})
        self.stdout.write(
            f"{file.name}: {len({row.category for row in rows})} categories, {created} products created, "
            f"{updated} updated, opening stock set for {stocked}"
        )
