"""What a new installation needs once, and an update again: tables, topics, and something to look at."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from shop.embedded.setup import load_demo_data, prepare_database


class Command(BaseCommand):
    """For those who run each process by hand or in a container; `manage.py up` does the same by itself."""

    help = "Bring the tables up to date, create missing topics, and load the demo catalogue into an empty shop."

    def handle(self, *args: Any, **options: Any) -> None:
        prepare_database()
        call_command("create_topics")
        load_demo_data()
