"""The words that customers read, from the templates in templates/notifications/texts. No personal data in them."""

from dataclasses import dataclass

from django.conf import settings
from django.template.loader import render_to_string

from notifications.models import Message

#: Why an order was cancelled, as its OrderCancelled says it, and as a person reads it.
REASONS = {
    "out_of_stock": "Something you ordered sold out just before we could set it aside.",
    "payment_declined": "Your payment was declined.",
    "cancelled_on_request": "It was cancelled on request.",
    "cancelled_by_staff": "We had to cancel it, and we are sorry about that.",
    "deadline_passed": "We could not complete it in time, and we are sorry about that.",
}
OTHER_REASON = "We could not complete it, and we are sorry about that."


@dataclass(frozen=True, slots=True)
class Texts:
    """A message for each channel: `body` goes by e-mail, `short` by SMS and in the shop."""

    subject: str
    body: str
    short: str


def write_texts(kind: Message.Kind, number: str, reason: str = "") -> Texts:
    """Write what is to be said about order `number`. The first line of the e-mail's template is its subject."""
    context = {
        "number": number,
        "shop_name": settings.SHOP_NAME,
        "reason": REASONS.get(reason, OTHER_REASON),
    }
    email = render_to_string(f"notifications/texts/{kind}.txt", context)
    short = render_to_string(f"notifications/texts/{kind}_short.txt", context)
    subject, _, body = email.strip().partition("\n")
    return Texts(subject=subject.strip(), body=body.strip() + "\n", short=" ".join(short.split()))
