"""The page with a customer's own orders."""

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from orders.models import Order

PAGE_SIZE = 20


@never_cache
@require_safe
@login_required
def show_own_orders(request: HttpRequest) -> HttpResponse:
    """Show the orders that the customer placed while logged in, newest first."""
    orders = Order.objects.filter(customer_id=request.user.pk).prefetch_related("lines")
    page = Paginator(orders, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "orders/own_orders.html", {"page": page})
