"""The pages of orders: cart, checkout, and the order itself. Every change works without JavaScript too."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from orders.cart.session import Cart, forget_cart, load_cart, set_quantity
from orders.cart.storage import LARGEST_QUANTITY, CartEmpty, CartFull, CartGone, NotSold, quote
from orders.checkout.placement import IdempotencyKeyReused, place_order, scope_key
from orders.lifecycle import cancellation
from orders.models import IdempotencyKey, Order
from orders.pages.forms import CheckoutForm, make_key
from orders.pages.progress import describe_progress
from orders.prices.amounts import OrderRefused, PriceChanged, UnknownProducts
from orders.prices.promotions import UnusableCode
from shop.catalogue.models import Product
from shop.catalogue.money import format_money
from shop.contacts.models import Contact
from shop.web.order_access import may_see_order, opens_order, remember_order
from shop.web.problems import flatten_errors


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


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def check_out(request: HttpRequest) -> HttpResponse:
    """Show the checkout, and place the order: once, however often the same form is sent."""
    cart = load_cart_and_tell(request)
    if request.method != "POST":
        return render_checkout(request, CheckoutForm(cart=cart)) if cart.lines else redirect("orders:cart")
    if cart.id is None:
        return redirect_to_placed(request)
    form = CheckoutForm(request.POST, cart=cart)
    if "update" in request.POST:
        return render_checkout(request, CheckoutForm(initial=request.POST.dict(), cart=cart))
    if not form.is_valid():
        return render_checkout(request, form, status=422)
    try:
        placement = place_order(
            idempotency_key=form.cleaned_data["idempotency_key"], request=form.request, caller=find_customer(request)
        )
    except (UnknownProducts, CartGone, CartEmpty):
        return redirect_to_placed(request)
    except IdempotencyKeyReused:
        data = request.POST.copy()
        data["idempotency_key"] = make_key()
        form = CheckoutForm(data, cart=cart)
        form.add_error(None, "You have ordered with this form already. Send it again if you want a second order.")
        return render_checkout(request, form, status=409)
    except OrderRefused as error:
        return render_checkout(request, tell_refusal(form, error), status=409)
    order_id = UUID(placement.answer["id"])
    remember_order(request, order_id)
    forget_cart(request)
    return redirect("orders:order-detail", order_id)


def find_customer(request: HttpRequest) -> AbstractBaseUser | None:
    """The customer who is logged in, None for a guest."""
    return request.user if request.user.is_authenticated else None


def tell_refusal(form: CheckoutForm, error: OrderRefused) -> CheckoutForm:
    """Say on the form why nothing was ordered. The page shows today's total, so that sending it again accepts it."""
    if isinstance(error, UnusableCode):
        form.add_error("promotion_code", error.message)
    elif isinstance(error, PriceChanged):
        total = format_money(error.amounts.total, error.amounts.currency)
        form.add_error(None, f"The total is {total} now. Nothing is ordered yet: send it again if that is all right.")
    else:
        form.add_error(None, " ".join(problem["message"] for problem in flatten_errors(error.errors)))
    return form


def render_checkout(request: HttpRequest, form: CheckoutForm, status: int = 200) -> HttpResponse:
    """Render the checkout's page with what the order would cost now."""
    country, code = form["country"].value() or "", form["promotion_code"].value() or ""
    try:
        amounts = quote(form.cart.lines, country, code)
    except UnusableCode as error:
        amounts = quote(form.cart.lines, country)
        problem = "" if form.is_bound else error.message
    else:
        problem = ""
    context = {"form": form, "cart": form.cart, "amounts": amounts, "code_problem": problem}
    return render(request, "orders/checkout.html", context, status=status)


def redirect_to_placed(request: HttpRequest) -> HttpResponse:
    """Where a form leads whose cart has become an order already, as after going back in the browser."""
    customer = find_customer(request)
    key = request.POST.get("idempotency_key", "").replace("\0", "")
    placed = IdempotencyKey.objects.filter(key=scope_key(key, customer.pk if customer else None)).first()
    if placed and (customer or may_see_order(request, placed.order_id)):
        return redirect("orders:order-detail", placed.order_id)
    return redirect("orders:cart")


@never_cache
@require_safe
def show_order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """An order, for whoever placed it, came with its token, or is staff."""
    order = get_visible_order(request, order_id)
    if opens_order(request.GET.get("token", ""), order_id):
        # The token leaves the address, so that it is neither bookmarked nor passed on.
        remember_order(request, order_id)
        return redirect("orders:order-detail", order_id)
    products = Product.objects.in_bulk([line.sku for line in order.lines.all()])
    context: dict[str, Any] = {
        "order": order,
        "lines": [(line, products.get(line.sku)) for line in order.lines.all()],
        "progress": describe_progress(order),
        "contact": Contact.objects.filter(pk=order.contact_id).first(),
    }
    return render(request, "orders/order.html", context)


@never_cache
@require_safe
def show_progress(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The part of the order page that renews itself; 204 while it would show what ``?seen=`` names."""
    order = get_visible_order(request, order_id)
    progress = describe_progress(order)
    if request.GET.get("seen") == progress.version:
        return HttpResponse(status=204)
    return render(request, "orders/_progress.html", {"order": order, "progress": progress})


@require_POST
def cancel_order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Cancel an order for its customer, until it is shipped."""
    order = get_visible_order(request, order_id)
    try:
        cancellation.cancel_order(order.pk)
    except cancellation.TooLateToCancel:
        messages.error(request, "It is on its way already, so it can no longer be cancelled.")
    return redirect("orders:order-detail", order_id)


def get_visible_order(request: HttpRequest, order_id: UUID) -> Order:
    """Return the order, if this visitor may see it.

    :raises Http404: there is none, or it is somebody else's; which of both is not told.
    """
    if not may_see_order(request, order_id):
        raise Http404
    return get_object_or_404(Order.objects.prefetch_related("lines"), pk=order_id)
