"""Admin page of the audit, and the base class of the admin pages whose changes are audited."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from relay.admin import ReadOnly, name_user
from shop.audit.models import StaffAction
from shop.audit.record import describe_relations, describe_row, name_subject, record_action

_REASON = "reason_for_audit"


class Audited(ModelAdmin):
    """Admin pages that require a reason, and record each change in the audit in the same transaction."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        """Return the form with an additional field for the reason."""
        if options.get("fields"):
            options["fields"] = [name for name in options["fields"] if name != _REASON]
        form = super().get_form(request, obj, change=change, **options)
        why = forms.CharField(
            label="Reason", max_length=200, help_text="Stored in the audit.", widget=UnfoldAdminTextInputWidget
        )
        return type(form.__name__, (form,), {_REASON: why})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the page's fields, with the reason as the last one."""
        return append_reason(super().get_fieldsets(request, obj))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save the row, and record the changed columns."""
        with transaction.atomic():
            before = type(obj)._default_manager.select_for_update().filter(pk=obj.pk).first() if change else None
            found = describe_row(before)
            super().save_model(request, obj, form, change)
            reason, action = form.cleaned_data[_REASON], "change" if change else "add"
            record_action(name_user(request), action, name_subject(obj), found, describe_row(obj), reason)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the row's relations, and record the changes, for example of permissions and groups."""
        with transaction.atomic():
            before = describe_relations(form.instance)
            super().save_related(request, form, formsets, change)
            after = describe_relations(form.instance)
            if before != after:
                subject, reason = name_subject(form.instance), form.cleaned_data[_REASON]
                record_action(name_user(request), "change", subject, before, after, reason)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the row, and record its columns."""
        with transaction.atomic():
            record_action(name_user(request), "delete", name_subject(obj), describe_row(obj), None, "")
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete the rows of `queryset`, and record the columns of each row."""
        with transaction.atomic():
            for row in queryset:
                record_action(name_user(request), "delete", name_subject(row), describe_row(row), None, "")
            super().delete_queryset(request, queryset)

    def change_rows(self, request: HttpRequest, rows: QuerySet[Any], action: str, reason: str, **changes: Any) -> int:
        """Set `changes` on each of `rows`, record them, and return the number of rows."""
        with transaction.atomic():
            found = list(rows.select_for_update(of=("self",)))
            for row in found:
                before = describe_row(row)
                for name, value in changes.items():
                    setattr(row, name, value)
                row.save(update_fields=list(changes))
                record_action(name_user(request), action, name_subject(row), before, describe_row(row), reason)
        return len(found)


@admin.register(StaffAction)
class StaffActionAdmin(ReadOnly):
    """Changes by staff, newest first."""

    list_display = ["at", "actor", "action", "subject", "before", "after", "reason"]
    list_filter = ["action", "at"]
    search_fields = ["actor", "subject", "reason"]
    show_full_result_count = False


admin.site.unregister([User, Group])


@admin.register(User)
class AuditedUserAdmin(UserAdmin, Audited):  # type: ignore[type-arg,misc]
    """Accounts. The audit also records when an account becomes staff."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return Django's fields, with the reason as the last one."""
        return append_reason(super().get_fieldsets(request, obj))

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Record a new password, because the password page does not call `save_model`."""
        if request.path.endswith("/password/"):
            record_action(name_user(request), "set password", name_subject(obj), None, None, "")
        return super().log_change(request, obj, message)


@admin.register(Group)
class AuditedGroupAdmin(GroupAdmin, Audited):
    """Groups of staff users."""


def append_reason(fieldsets: Any) -> Any:
    """Return `fieldsets` with the field for the reason at the end, unless it is already there."""
    if any(_REASON in options["fields"] for _, options in fieldsets):
        return fieldsets
    return [*fieldsets, (None, {"fields": [_REASON]})]
