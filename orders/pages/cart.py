"""The pages of the cart. Every change also works without JavaScript."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from orders.cart.session import Cart, load_cart, set_quantity
from orders.cart.storage import LARGEST_QUANTITY, CartFull, NotSold
from shop.catalogue.models import Product


@never_cache
@require_safe
def show_cart(request: HttpRequest) -> HttpResponse:
    """Show the cart at current prices."""
    return render(request, "orders/cart.html", {"cart": load_cart_and_notify(request)})


@require_POST
def add_to_cart(request: HttpRequest) -> HttpResponse:
    """Add pieces of a product to the cart."""
    product = get_object_or_404(Product.objects.on_sale(), sku=request.POST.get("sku", "").replace("\0", ""))
    added = read_quantity(request.POST.get("quantity", "1"))
    problem = ""
    if added is None or added < 1:
        problem = f"Enter a quantity from 1 to {LARGEST_QUANTITY}."
    else:
        problem = change_cart(request, product.sku, added, add=True)
    if getattr(request, "htmx", False):
        context = {"product": product, "added": added, "problem": problem, "count_changed": True}
        return render(request, "orders/_added.html", context)
    if problem:
        messages.error(request, problem)
    else:
        messages.success(request, f"{product.name} is in your cart.")
    return redirect("orders:cart")


@require_POST
def change_line(request: HttpRequest, sku: str) -> HttpResponse:
    """Set the quantity of the line of `sku`; 0 removes the line."""
    quantity = read_quantity(request.POST.get("quantity", ""))
    problem = ""
    if quantity is None or quantity < 0:
        problem = f"Enter a quantity from 1 to {LARGEST_QUANTITY}, or 0 to remove the product."
    elif any(line.product.sku == sku for line in load_cart(request).lines):
        problem = change_cart(request, sku, quantity)
    if problem:
        messages.error(request, problem)
    if getattr(request, "htmx", False):
        return render(request, "orders/_cart.html", {"cart": load_cart_and_notify(request), "count_changed": True})
    return redirect("orders:cart")


def change_cart(request: HttpRequest, sku: str, quantity: int, *, add: bool = False) -> str:
    """Change the cart. Return a message for the visitor if the change failed or the quantity was reduced, else ""."""
    try:
        before, held = set_quantity(request, sku, quantity, add=add)
    except (CartFull, NotSold) as error:
        return f"Your cart was not changed. {error}"
    cut = held < (before + quantity if add else quantity)
    return f"We changed the quantity to {held}, the largest quantity in one order." if cut else ""


def read_quantity(text: str) -> int | None:
    """Return `text` as a whole number, or None if it is not one or has more than six digits."""
    text = text.strip()
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 6 else None


def load_cart_and_notify(request: HttpRequest) -> Cart:
    """Return the visitor's cart. Add a message to the page if products were removed because they are no longer sold."""
    cart = load_cart(request)
    if cart.dropped:
        messages.warning(request, "We removed products from your cart that we no longer sell.")
    return cart
