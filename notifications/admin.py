"""Messages for staff: read-only, with an action to send the failed ones again, and the way to the local mailbox."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from unfold.decorators import action

from notifications.models import Message
from notifications.queue import retry_failed
from notifications.tasks import send_messages
from relay.admin import ReadOnly
from shop.workqueue.doorbell import ring


@admin.register(Message)
class MessageAdmin(ReadOnly):
    list_display = ["subject", "channel", "status", "attempts", "error", "created_at", "sent_at"]
    list_filter = ["channel", "status", "kind"]
    search_fields = ["subject", "=order_id", "=id"]
    date_hierarchy = "created_at"
    actions = ["send_again"]
    actions_list = ["open_mailbox"]

    @action(description="Send the failed ones again", permissions=["act"])  # type: ignore[untyped-decorator]
    def send_again(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        """Give each failed message among the chosen ones all its attempts again."""
        count = retry_failed(queryset)
        ring(send_messages)
        self.message_user(request, f"{count} messages will be sent again")

    @action(description="Local mailbox", icon="inbox")  # type: ignore[untyped-decorator]
    def open_mailbox(self, request: HttpRequest) -> HttpResponseRedirect:
        """Show the e-mail and SMS that were delivered on this machine."""
        return redirect("notifications:mailbox")
