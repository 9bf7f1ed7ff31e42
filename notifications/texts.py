"""The texts of messages, rendered from templates/notifications/texts. They contain no personal data."""

from dataclasses import dataclass

from django.conf import settings
from django.template.loader import render_to_string

from notifications.models import Message

#: Sentences for customers, by the reason in OrderCancelled.
REASONS = {
    "out_of_stock": "A product you ordered sold out before we could reserve it for you.",
    "payment_declined": "Your payment was declined.",
    "cancelled_on_request": "We received a request to cancel it.",
    "cancelled_by_staff": "We had to cancel it, and we are sorry about that.",
    "deadline_passed": "We could not complete it in time, and we are sorry about that.",
}
#: The sentence for any other reason.
OTHER_REASON = "We could not complete it, and we are sorry about that."


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one message: `subject` and `body` for e-mail, `short` for SMS and the shop's page."""

    subject: str
    body: str
    short: str


def write_texts(kind: Message.Kind, number: str, reason: str = "") -> Texts:
    """Return the texts about the order `number`. The first line of the e-mail's template is the subject."""
    context = {
        "number": number,
        "shop_name": settings.SHOP_NAME,
        "reason": REASONS.get(reason, OTHER_REASON),
    }
    email = render_to_string(f"notifications/texts/{kind}.txt", context)
    short = render_to_string(f"notifications/texts/{kind}_short.txt", context)
    subject, _, body = email.strip().partition("\n")
    return Texts(subject=subject.strip(), body=body.strip() + "\n", short=" ".join(short.split()))
