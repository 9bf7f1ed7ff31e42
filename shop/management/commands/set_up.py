"""Prepare the database and Kafka after an installation or an update."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from shop.embedded.setup import load_demo_data, prepare_database


class Command(BaseCommand):
    """Needed if the processes run in containers or by hand. `manage.py up` does the same automatically."""

    help = "Apply migrations, create missing topics, and import the demo catalogue if there are no products."

    def handle(self, *args: Any, **options: Any) -> None:
        prepare_database()
        call_command("create_topics")
        load_demo_data()
