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
from shop.web.order_access import VIEW_ORDER, is_staff_with
from shop.workqueue.doorbell import ring


@admin.register(Message)
class MessageAdmin(ReadOnly):
    """Messages about orders. Staff who may not see orders see no messages either."""

    list_display = ["subject", "channel", "status", "attempts", "error", "created_at", "due_at", "sent_at"]
    list_filter = ["channel", "status", "kind"]
    search_fields = ["subject", "=order_id", "=id"]
    date_hierarchy = "created_at"
    actions = ["send_again"]
    actions_list = ["open_mailbox"]

    def has_view_permission(self, request: HttpRequest, obj: Message | None = None) -> bool:
        return super().has_view_permission(request, obj) and is_staff_with(request.user, VIEW_ORDER)

    def has_act_permission(self, request: HttpRequest) -> bool:
        return super().has_act_permission(request) and self.has_view_permission(request)

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
