"""Create the demo users for the admin."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError

from shop.embedded.addresses import DEMO_PASSWORD, DEMO_USER

#: The groups of staff that a migration creates. Each one gets a demo user with the group's name.
GROUPS = ("support", "warehouse", "finance", "operator")


class Command(BaseCommand):
    """Creates the superuser `staff` and a user for each group of staff. A user whose name exists is not changed."""

    help = (
        "Create the superuser staff and the users support, warehouse, finance and operator for the admin. The password"
        " of each is its name. Refused in production."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError(
                "PRODUCTION is set: create a user with `manage.py createsuperuser` and a secret password"
            )
        users = get_user_model()._default_manager
        known = set(users.values_list("username", flat=True).filter(username__in=[DEMO_USER, *GROUPS]))
        if DEMO_USER not in known:
            users.create_superuser(username=DEMO_USER, password=DEMO_PASSWORD)
        for group in Group.objects.filter(name__in={*GROUPS} - known):
            users.create_user(username=group.name, password=group.name, is_staff=True).groups.add(group)
