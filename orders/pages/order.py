"""The page of an order for its customer and for staff, and its cancellation by the customer."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from orders.lifecycle import cancellation
from orders.models import Order
from orders.pages.progress import describe_progress, find_version
from shop.catalogue.models import Product
from shop.contacts.models import Contact
from shop.web.live_address import find_live_url
from shop.web.order_access import (
    VIEW_CONTACT,
    is_customer,
    is_staff_with,
    may_see_order,
    opens_order,
    remember_order,
)


@never_cache
@require_safe
def show_order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Show an order to its customer, to visitors with its token, and to staff with permission."""
    order = get_visible_order(request, order_id)
    if opens_order(request.GET.get("token", ""), order_id):
        # Remove the token from the address: a visitor might bookmark or share it.
        remember_order(request, order_id)
        return redirect("orders:order-detail", order_id)
    products = Product.objects.in_bulk([line.sku for line in order.lines.all()])
    context: dict[str, Any] = {
        "order": order,
        "lines": [(line, products.get(line.sku)) for line in order.lines.all()],
        "progress": describe_progress(order),
        "is_customer": is_customer(request, order_id),
        "live_url": find_live_url(request, [order.pk]),
    }
    if context["is_customer"] or is_staff_with(request.user, VIEW_CONTACT):
        context["contact"] = Contact.objects.filter(pk=order.contact_id).first()
    return render(request, "orders/order.html", context)


@never_cache
@require_safe
def show_progress(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Return the part of the order page that htmx polls. Return 204 if ``?seen=`` is the current version."""
    order = get_visible_order(request, order_id)
    if request.GET.get("seen") == find_version(order):
        return HttpResponse(status=204)
    context = {"order": order, "progress": describe_progress(order), "is_customer": is_customer(request, order_id)}
    return render(request, "orders/_progress.html", context)


@require_POST
def cancel_order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Cancel the customer's order if it is not shipped, and show its page. For a shipped order, show an error.

    :raises PermissionDenied: the visitor is staff. The admin cancels with a permission and a reason, and names staff.
    """
    order = get_visible_order(request, order_id)
    if not is_customer(request, order_id):
        raise PermissionDenied("Cancel this order in the admin: only its customer can cancel it here.")
    try:
        cancellation.cancel_order(order.pk)
    except cancellation.TooLateToCancel:
        messages.error(request, "Your order is already shipped, so we can't cancel it.")
    return redirect("orders:order-detail", order_id)


def get_visible_order(request: HttpRequest, order_id: UUID) -> Order:
    """Return the order if the visitor may see it.

    :raises Http404: the order does not exist or belongs to another customer. The page does not say which.
    """
    if not may_see_order(request, order_id):
        raise Http404
    return get_object_or_404(Order.objects.prefetch_related("lines"), pk=order_id)
