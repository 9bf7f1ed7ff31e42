"""Prepare the database and Kafka after an installation or an update."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from shop.embedded.processes import CannotStart
from shop.embedded.setup import load_demo_data, prepare_database, prepare_kafka


class Command(BaseCommand):
    """Needed if the processes run in containers or by hand. `manage.py up` does the same automatically."""

    help = "Apply migrations, create missing topics, and import the demo catalogue if there are no products."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            prepare_database()
        except CannotStart as error:
            raise CommandError(str(error)) from error
        prepare_kafka()
        load_demo_data()
