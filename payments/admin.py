"""The admin pages of payments and cases. Staff can refund a payment and close a case; everything else is read-only."""

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from unfold.admin import TabularInline

from payments.models import Attempt, Case, Payment, Refund
from payments.reconciliation.cases import close_case
from payments.refunds import NotRefundable, read_promised, refund_part
from payments.settlement.captures import NotCapturable, capture_again
from payments.tasks import settle_payments
from relay.admin import ReadOnly, ask_reason, name_user
from shop.audit.form_numbers import NUMBER, FormSentTwice, make_number, read_number
from shop.audit.record import audited, name_subject, record_action
from shop.catalogue.money import format_money, read_money
from shop.workqueue.doorbell import ring


class AttemptInline(TabularInline):
    model = Attempt
    fields = readonly_fields = ["operation", "calls", "outcome", "started_at", "finished_at", "idempotency_key"]
    extra = max_num = 0
    can_delete = False


class RefundInline(TabularInline):
    model = Refund
    fields = readonly_fields = [
        *("number", "amount", "status", "reason", "requested_by", "answer", "created_at", "finished_at")
    ]
    extra = max_num = 0
    can_delete = False


@admin.register(Payment)
class PaymentAdmin(ReadOnly):
    list_display = ["order_id", "status", "wanted", "shown_amount", "shown_refunded", "reason", "created_at"]
    list_filter = ["status", "wanted", "currency"]
    search_fields = ["=id", "=order_id", "gateway_reference"]
    date_hierarchy = "created_at"
    exclude = ["payment_token"]
    inlines = [RefundInline, AttemptInline]
    actions = ["give_back", "capture_again"]

    @admin.display(description="amount", ordering="amount")
    def shown_amount(self, payment: Payment) -> str:
        """Return the amount with its currency sign, for example €12.50."""
        return format_money(payment.amount, payment.currency)

    @admin.display(description="refunded", ordering="refunded_amount")
    def shown_refunded(self, payment: Payment) -> str:
        """Return the refunded amount with its currency sign, or "" if nothing was refunded."""
        return format_money(payment.refunded_amount, payment.currency) if payment.refunded_amount else ""

    def has_refund_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may refund payments."""
        return bool(request.user.has_perm("payments.refund_payment"))

    @admin.action(description="Give money back", permissions=["refund"])
    def give_back(self, request: HttpRequest, payments: QuerySet[Payment]) -> TemplateResponse | None:
        """Show a form for amount and reason, then store the refund. A worker calls the gateway later."""
        if payments.count() != 1:
            self.message_user(request, "Select exactly one payment: each refund has its own amount.", messages.ERROR)
            return None
        if "give_back" not in request.POST:
            return self._ask_amount(request, payments.get())
        try:
            with transaction.atomic():
                payment = payments.select_for_update().get()
                refund = refund_part(
                    payment,
                    read_money(request.POST.get("amount", ""), payment.currency),
                    reason=request.POST.get("reason", "")[:200],
                    requested_by=name_user(request),
                    number=read_refund_number(request),
                )
                record_action(
                    name_user(request),
                    "give back",
                    name_subject(payment),
                    None,
                    {"amount": refund.amount},
                    refund.reason,
                )
                ring(settle_payments)
        except (NotRefundable, ValueError) as error:
            return self._ask_amount(request, payments.get(), problem=str(error))
        self.message_user(request, f"{format_money(refund.amount, payment.currency)} will be refunded.")
        return None

    @admin.action(description="Capture again", permissions=["act"])
    def capture_again(self, request: HttpRequest, payments: QuerySet[Payment]) -> None:
        """Request another capture of each selected payment whose capture failed. A worker calls the gateway later."""
        for payment_id in payments.values_list("pk", flat=True):
            try:
                with transaction.atomic():
                    payment = Payment.objects.select_for_update().get(pk=payment_id)
                    with audited(name_user(request), "capture again", payment, ""):
                        capture_again(payment)
                    ring(settle_payments)
                self.message_user(request, f"The capture of {payment} will be repeated.")
            except NotCapturable as error:
                self.message_user(request, f"{error}.", messages.ERROR)

    def _ask_amount(self, request: HttpRequest, payment: Payment, problem: str = "") -> TemplateResponse:
        number, total = read_promised([payment]).get(payment.pk, (0, 0))
        context = {
            **self.admin_site.each_context(request),
            **{"title": "Give money back", "opts": self.opts, "action": "give_back", "problem": problem},
            **{"payment": payment, "number": number + 1},
            "captured": format_money(payment.captured_amount, payment.currency),
            "left": format_money(payment.captured_amount - total, payment.currency),
            **{field: request.POST.get(field, "") for field in ("amount", "reason")},
        }
        return TemplateResponse(request, "payments/give_back.html", context)


def read_refund_number(request: HttpRequest) -> int:
    """Return the refund's position among the payment's refunds, by which a form that is sent twice refunds once.

    :raises NotRefundable: the form has no valid number.
    """
    number = request.POST.get("number", "")
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise NotRefundable(f"the number of the refund is {number!r:.20}, not a whole number; open the form again")
    return int(number)


@admin.register(Case)
class CaseAdmin(ReadOnly):
    """The cases that `reconcile_payments` has opened."""

    list_display = ["id", "kind", "description", "opened_at", "last_seen_at", "closed_at", "closed_by"]
    list_filter = [("closed_at", admin.EmptyFieldListFilter), "kind"]
    search_fields = ["=payment__id", "=payment__order_id", "description"]
    date_hierarchy = "opened_at"
    actions = ["close"]

    @admin.action(description="Close", permissions=["act"])
    def close(self, request: HttpRequest, cases: QuerySet[Case]) -> TemplateResponse | None:
        """Show a form for a note about the solution, then close the selected cases."""
        note, form, closed = request.POST.get("reason", "").strip(), read_number(request), 0
        if not (note and form):
            return ask_reason(self, request, cases, "Close these cases", {NUMBER: make_number()})
        for case in cases:
            try:
                with audited(name_user(request), "close", case, note, form):
                    close_case(case.pk, by=name_user(request), note=note)
                closed += 1
            except FormSentTwice as error:
                self.message_user(request, f"{error}.", messages.ERROR)
        if closed:
            self.message_user(request, f"Closed: {closed}.")
        return None
