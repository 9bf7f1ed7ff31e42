"""The pages of the cart. Every change works without JavaScript too."""

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
    """The cart at today's prices."""
    return render(request, "orders/cart.html", {"cart": load_cart_and_tell(request)})


@require_POST
def add_to_cart(request: HttpRequest) -> HttpResponse:
    """Put more of a product into the cart."""
    product = get_object_or_404(Product.objects.on_sale(), sku=request.POST.get("sku", "").replace("\0", ""))
    added = read_quantity(request.POST.get("quantity", "1"))
    problem = ""
    if added is None or added < 1:
        problem = f"Give a quantity from 1 to {LARGEST_QUANTITY}."
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
    """Set the quantity of one line; 0 removes it."""
    quantity = read_quantity(request.POST.get("quantity", ""))
    problem = ""
    if quantity is None or quantity < 0:
        problem = f"Give a quantity from 1 to {LARGEST_QUANTITY}, or 0 to remove it."
    elif any(line.product.sku == sku for line in load_cart(request).lines):
        problem = change_cart(request, sku, quantity)
    if problem:
        messages.error(request, problem)
    if getattr(request, "htmx", False):
        return render(request, "orders/_cart.html", {"cart": load_cart_and_tell(request), "count_changed": True})
    return redirect("orders:cart")


def change_cart(request: HttpRequest, sku: str, quantity: int, *, add: bool = False) -> str:
    """Change the cart and return what the visitor must be told about it, if anything."""
    try:
        before, held = set_quantity(request, sku, quantity, add=add)
    except (CartFull, NotSold) as error:
        return f"Not added: {error}."
    cut = held < (before + quantity if add else quantity)
    return f"We changed the quantity to {held}, the most we sell at once." if cut else ""


def read_quantity(text: str) -> int | None:
    """Read a whole number of at most six digits; None if it is not one."""
    text = text.strip()
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 6 else None


def load_cart_and_tell(request: HttpRequest) -> Cart:
    """Load the cart, with a message when something in it is no longer sold."""
    cart = load_cart(request)
    if cart.dropped:
        messages.warning(request, "Something in your cart is no longer sold, so we took it out.")
    return cart
