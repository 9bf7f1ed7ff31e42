"""The users that the demo creates: a superuser, and one user for each group of staff."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

pytestmark = pytest.mark.django_db


def test_each_group_has_a_demo_user_with_its_own_permissions() -> None:
    call_command("create_demo_users")
    User.objects.filter(username="support").update(first_name="Kept")
    call_command("create_demo_users")
    users = {user.username: user for user in User.objects.all()}
    assert sorted(users) == ["finance", "operator", "staff", "support", "warehouse"]
    assert all(user.is_staff and user.check_password(name) for name, user in users.items())
    assert {name for name, user in users.items() if user.has_perm("orders.cancel_order")} == {"staff", "support"}
    assert users["support"].first_name == "Kept"


def test_production_has_no_demo_users(settings: Any) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="createsuperuser"):
        call_command("create_demo_users")
    assert not User.objects.exists()
