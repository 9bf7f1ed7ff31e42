"""Pages: the messages of an order for its customer, and the local mailbox for staff."""

from typing import Any
from uuid import UUID

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_safe

from notifications.models import Message, SandboxDelivery
from notifications.verification import is_message_id
from shop.contacts.models import Contact
from shop.web.order_access import VIEW_CONTACT, VIEW_ORDER, may_see_order

DELIVERIES_PER_PAGE = 25
#: The letters name their orders and recipients, so the mailbox needs the permissions for all of them.
MAILBOX_PERMISSIONS = (VIEW_ORDER, VIEW_CONTACT, "notifications.view_message")


@require_safe
@cache_control(private=True, no_store=True)
def show_order_messages(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Return an HTML fragment for the order's page with the messages about the order, newest first.

    Each message has the state of its e-mail.

    :raises Http404: the order does not exist or the visitor may not see it. Visitors cannot distinguish the two.
    """
    if not may_see_order(request, order_id):
        raise Http404
    messages = list(Message.objects.filter(order_id=order_id))
    letters = {message.event_id: message for message in messages if message.channel == Message.Channel.email}
    shown = [
        (message, letters.get(message.event_id)) for message in messages if message.channel == Message.Channel.shop
    ]
    return render(request, "notifications/order_messages.html", {"order_messages": shown})


@require_safe
@never_cache
@staff_member_required
@permission_required(MAILBOX_PERMISSIONS, raise_exception=True)
def show_mailbox(request: HttpRequest) -> HttpResponse:
    """Return a page of the local mailbox, newest deliveries first, filtered by the parameters ``channel`` and ``q``."""
    channel, query = request.GET.get("channel", ""), request.GET.get("q", "").strip().replace("\0", "")
    deliveries = SandboxDelivery.objects.all()
    if channel in Message.Channel.values:
        deliveries = deliveries.filter(channel=channel)
    if query:
        deliveries = deliveries.filter(Q(subject__icontains=query) | Q(body__icontains=query))
    page = Paginator(deliveries, DELIVERIES_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "letters": address_letters(list(page.object_list)),
        "channel": channel,
        "query": query,
        "channels": [Message.Channel.email, Message.Channel.sms],
    }
    return render(request, "notifications/mailbox.html", context)


def address_letters(deliveries: list[SandboxDelivery]) -> list[dict[str, Any]]:
    """Return for each delivery a dictionary with the delivery, its order's id and its recipient.

    The recipient is read from the current contacts, and is "erased" if the contact was erased.
    """
    ids = [delivery.message_id for delivery in deliveries if is_message_id(delivery.message_id)]
    messages = {str(message.pk): message for message in Message.objects.filter(pk__in=ids)}
    contacts = Contact.objects.in_bulk({message.contact_id for message in messages.values()})
    letters = []
    for delivery in deliveries:
        message = messages.get(delivery.message_id)
        contact = contacts.get(message.contact_id) if message else None
        letters.append(
            {
                "delivery": delivery,
                "order_id": message.order_id if message else None,
                "recipient": describe_recipient(delivery, contact) if message else "unknown",
            }
        )
    return letters


def describe_recipient(delivery: SandboxDelivery, contact: Contact | None) -> str:
    """Return the name and the address or number of a delivery's recipient, or "erased"."""
    if contact is None:
        return "erased"
    return f"{contact.name}, {contact.phone if delivery.channel == Message.Channel.sms else contact.email}"
