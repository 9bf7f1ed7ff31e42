"""Webhooks are hints: signed, taken once, and never believed. What they name is asked about at the gateway."""

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from payments.gateways.protocol import BadHint, load_gateway
from payments.models import Hint, Payment, Refund
from payments.tasks import settle_payments
from shop.workqueue.doorbell import ring

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
MOST_ID = 255
#: A hint is known for so long; its signature is refused as too old long before.
KEPT = timedelta(days=1)


@csrf_exempt
@require_POST
def receive_hint(request: HttpRequest) -> JsonResponse:
    """Take a hint of the gateway: 200 when it is genuine, also when it is known already or of no use."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        return JsonResponse({"error": f"the body has {length:.20} bytes, {MAX_BODY_BYTES} at most"}, status=413)
    try:
        hint_id, key = load_gateway().read_hint(request.headers, request.body)
        if not 0 < len(hint_id) <= MOST_ID or "\0" in hint_id + key:
            raise BadHint(f"the hint's id {hint_id!r:.100} or key {key!r:.100} can't be one")
    except BadHint as error:
        logger.warning("webhook refused", extra={"why": str(error)})
        return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse({"used": take_hint(hint_id, key)})


@transaction.atomic
def take_hint(hint_id: str, key: str) -> bool:
    """Have the payment that the idempotency `key` belongs to asked about now, if it still wants something.

    Return whether there is one, and the hint came for the first time.
    """
    _, is_new = Hint.objects.get_or_create(id=hint_id)
    if not is_new:
        return False
    Hint.objects.filter(received_at__lt=Now() - KEPT).delete()
    waiting = Payment.objects.filter(~Q(wanted=Payment.Wanted.nothing), attempts__idempotency_key=key)
    used = bool(Payment.objects.filter(pk__in=waiting.values("pk")).update(due_at=Now()))
    if used:
        named = Refund.objects.filter(status__in=Refund.OPEN, attempts__idempotency_key=key)
        Refund.objects.filter(pk__in=named.values("pk")).update(due_at=Now())
        ring(settle_payments)
    return used


app_name = "payments"
urlpatterns = [path("webhooks/payments", receive_hint, name="hint-receive")]
