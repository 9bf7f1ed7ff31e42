"""Webhooks are hints: a signed, new webhook only makes a payment due for a lookup at the gateway."""

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from payments.gateways.protocol import BadHint, GatewayHint, load_gateway
from payments.models import Hint, Payment, Refund
from payments.tasks import reconcile_payments, settle_payments
from shop.workqueue.doorbell import ring

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
MOST_ID = 255
#: A hint's id is stored this long. Its signature is too old after five minutes.
KEPT = timedelta(days=1)


@csrf_exempt
@require_POST
def receive_hint(request: HttpRequest) -> JsonResponse:
    """Accept a webhook of the gateway. Answer 200 if its signature is valid, even for a duplicate or an unknown key."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        return JsonResponse({"error": f"the body has {length:.20} bytes, the limit is {MAX_BODY_BYTES}"}, status=413)
    try:
        hint = load_gateway().read_hint(request.headers, request.body)
        if not 0 < len(hint.id) <= MOST_ID or "\0" in hint.id + hint.key:
            raise BadHint(f"the webhook's id {hint.id!r:.100} or key {hint.key!r:.100} is invalid")
    except BadHint as error:
        logger.warning("webhook refused", extra={"why": str(error)})
        return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse({"used": take_hint(hint)})


@transaction.atomic
def take_hint(hint: GatewayHint) -> bool:
    """Make the payment of the hint's idempotency key due now, if it has an operation to do, and ring.

    A hint about a refund or dispute that the shop did not cause starts a reconciliation instead. Return whether the
    hint had an effect; a duplicate hint changes nothing.
    """
    _, is_new = Hint.objects.get_or_create(id=hint.id)
    if not is_new:
        return False
    Hint.objects.filter(received_at__lt=Now() - KEPT).delete()
    if hint.is_external or reports_unknown_refund(hint):
        ring(reconcile_payments)
        return True
    waiting = Payment.objects.filter(~Q(wanted=Payment.Wanted.nothing), attempts__idempotency_key=hint.key)
    used = bool(Payment.objects.filter(pk__in=waiting.values("pk")).update(due_at=Now()))
    if used:
        named = Refund.objects.filter(status__in=Refund.OPEN, attempts__idempotency_key=hint.key)
        Refund.objects.filter(pk__in=named.values("pk")).update(due_at=Now())
        ring(settle_payments)
    return used


def reports_unknown_refund(hint: GatewayHint) -> bool:
    """Return whether the hint names another refunded amount than a payment that has nothing to do at the gateway."""
    if hint.refunded is None:
        return False
    settled = Payment.objects.filter(wanted=Payment.Wanted.nothing, attempts__idempotency_key=hint.key)
    return settled.exclude(refunded_amount=hint.refunded).exists()


app_name = "payments"
urlpatterns = [path("webhooks/payments", receive_hint, name="hint-receive")]
