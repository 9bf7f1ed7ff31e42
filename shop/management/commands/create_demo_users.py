"""Somebody to log in as, on a machine where everybody may."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from shop.embedded.addresses import DEMO_PASSWORD, DEMO_USER


class Command(BaseCommand):
    """Creates the user `staff`; one who is there already stays as it is."""

    help = "Create the user staff with the password staff, who may do everything in the admin. Not in production."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("PRODUCTION is set: use `manage.py createsuperuser`, and a password nobody knows")
        users = get_user_model()._default_manager
        if not users.filter(username=DEMO_USER).exists():
            users.create_superuser(username=DEMO_USER, password=DEMO_PASSWORD)
