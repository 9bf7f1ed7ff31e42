"""The page with a customer's own orders."""

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from orders.lifecycle.waiting import explain_waiting
from orders.models import Order
from orders.pages.progress import find_poll_seconds
from shop.web.live_address import find_live_url

PAGE_SIZE = 20


@never_cache
@require_safe
@login_required
def show_own_orders(request: HttpRequest) -> HttpResponse:
    """Show the orders that the customer placed while logged in, newest first."""
    orders = Order.objects.filter(customer_id=request.user.pk).prefetch_related("lines")
    page = Paginator(orders, PAGE_SIZE).get_page(request.GET.get("page"))
    changing = [order.pk for order in page if find_poll_seconds(order)]
    live_url = find_live_url(request, changing) if changing else ""
    rows = [(order, explain_waiting(order)) for order in page]
    return render(request, "orders/own_orders.html", {"page": page, "rows": rows, "live_url": live_url})
