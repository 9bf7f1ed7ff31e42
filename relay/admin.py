"""The outbox and the parked keys for staff: everything read-only, with an action to redrive."""

from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest

from relay.lag import all_consumers
from relay.models import Cursor, Outbox, ParkedKey

if apps.is_installed("unfold"):
    from unfold.admin import ModelAdmin
else:
    from django.contrib.admin import ModelAdmin


class ReadOnly(ModelAdmin):
    """Shown, never edited by hand. The permission to change a model is the one to use its actions."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may use the actions."""
        return bool(request.user.has_perm(f"{self.opts.app_label}.{get_permission_codename('change', self.opts)}"))


@admin.register(Outbox)
class OutboxAdmin(ReadOnly):
    """Every event, newest first."""

    list_display = ["position", "type", "topic", "key", "sequence", "created_at", "published_at", "refused_reason"]
    list_filter = ["topic", "type", ("published_at", admin.EmptyFieldListFilter)]
    search_fields = ["key", "event_id"]
    ordering = ["-position"]
    show_full_result_count = False
    actions = ["send_again"]

    @admin.action(description="Send refused rows again", permissions=["act"])
    def send_again(self, request: HttpRequest, rows: QuerySet[Outbox]) -> None:
        """Clear the refusal: the relay tries the row, and what waits behind it, again."""
        count = rows.exclude(refused_reason=None).update(refused_reason=None)
        self.message_user(request, f"{count} refused rows will be sent again.", messages.SUCCESS)


@admin.register(ParkedKey)
class ParkedKeyAdmin(ReadOnly):
    """Keys whose events wait because one of them failed."""

    list_display = ["consumer", "topic", "key", "last", "reason", "attempts", "parked_at", "next_try_at"]
    list_filter = ["consumer", "topic"]
    search_fields = ["key", "reason"]
    ordering = ["parked_at"]
    actions = ["redrive"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cursor]:
        return ParkedKey.objects.exclude(parked_at=None)

    @admin.action(description="Redrive: read the events again from the outbox", permissions=["act"])
    def redrive(self, request: HttpRequest, keys: QuerySet[ParkedKey]) -> None:
        """Make the keys due now; their consumers try them again within a second."""
        consumers = {consumer.name for consumer in all_consumers()}
        chosen = [key.pk for key in keys if key.consumer in consumers]
        with connection.cursor() as cursor:
            cursor.execute(
                "update relay_cursor set next_try_at = clock_timestamp(), attempts = 0 where id = any(%s)", [chosen]
            )
        self.message_user(request, f"{len(chosen)} keys will be tried again.", messages.SUCCESS)
