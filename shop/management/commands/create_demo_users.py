"""Create the demo user for the admin."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from shop.embedded.addresses import DEMO_PASSWORD, DEMO_USER


class Command(BaseCommand):
    """Creates the user `staff`, unless a user with this name exists."""

    help = "Create the superuser staff with the password staff for the admin. Refused in production."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError(
                "PRODUCTION is set: create a user with `manage.py createsuperuser` and a secret password"
            )
        users = get_user_model()._default_manager
        if not users.filter(username=DEMO_USER).exists():
            users.create_superuser(username=DEMO_USER, password=DEMO_PASSWORD)
