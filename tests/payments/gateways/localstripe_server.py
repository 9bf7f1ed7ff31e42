"""Localstripe with two parts of Stripe's API that it lacks: lists by time of creation, and disputes."""

from typing import Any

from localstripe import resources


class Dispute(resources.StripeObject):  # type: ignore[misc]
    """A dispute. Tests create it as the bank of a customer."""

    object = "dispute"
    _id_prefix = "dp_"

    def __init__(self, payment_intent: str, amount: str, currency: str, reason: str = "fraudulent") -> None:
        super().__init__()
        self.payment_intent, self.amount, self.currency, self.reason = payment_intent, int(amount), currency, reason
        self.status = "needs_response"


def list_by_creation(cls: Any) -> Any:
    """Return the list method of `cls`, extended by the parameter `created` and sorted newest first."""
    list_all = cls._api_list_all

    def list_within(url: str, created: dict[str, str] | None = None, limit: str | None = None, **wanted: Any) -> Any:
        found = list_all(url, limit=limit, **wanted)
        bounds = {name: int(value) for name, value in (created or {}).items()}
        found._list = [
            item for item in found._list if bounds.get("gte", 0) <= item.created <= bounds.get("lte", item.created)
        ]
        found._list.sort(key=lambda item: item.created, reverse=True)
        return found

    return list_within


for resource in (resources.PaymentIntent, resources.Refund):
    resource._api_list_all = list_by_creation(resource)
resources.extra_apis += [
    ("GET", "/v1/disputes", lambda **wanted: list_by_creation(Dispute)("/v1/disputes", **wanted)),
    ("POST", "/v1/disputes", lambda **wanted: Dispute(**wanted)),
]

if __name__ == "__main__":
    from localstripe import server

    server.start()
