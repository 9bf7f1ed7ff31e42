"""The read-only admin page of messages, with an action to resend failed messages and a link to the local mailbox."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from unfold.decorators import action

from notifications import queue
from notifications.models import Message
from notifications.tasks import send_messages
from relay.admin import ReadOnly
from shop.workqueue.doorbell import ring


@admin.register(Message)
class MessageAdmin(ReadOnly):
    list_display = ["subject", "channel", "status", "attempts", "error", "created_at", "due_at", "sent_at"]
    list_filter = ["channel", "status", "kind"]
    search_fields = ["subject", "=order_id", "=id"]
    date_hierarchy = "created_at"
    actions = ["send_again"]
    actions_list = ["open_mailbox"]

    @action(description="Send failed and suppressed messages", permissions=["act"])  # type: ignore[untyped-decorator]
    def send_again(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        """Queue the failed and suppressed messages of `queryset`, with all their attempts and without the limit."""
        count = queue.send_again(queryset)
        ring(send_messages)
        self.message_user(request, f"{count} messages will be sent again")

    @action(description="Local mailbox", icon="inbox")  # type: ignore[untyped-decorator]
    def open_mailbox(self, request: HttpRequest) -> HttpResponseRedirect:
        """Redirect to the local mailbox."""
        return redirect("notifications:mailbox")
