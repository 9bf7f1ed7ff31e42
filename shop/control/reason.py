"""The reason that each action of the control room needs."""

from django.http import HttpRequest

from relay.operations import Refused

LONGEST = 500


def read_reason(request: HttpRequest) -> str:
    """Return the reason in the form.

    :raises Refused: it is missing or longer than LONGEST characters.
    """
    reason = request.POST.get("reason", "").strip()
    if not reason:
        raise Refused("Enter a reason: it is stored in the audit with your name.")
    if len(reason) > LONGEST:
        raise Refused(f"The reason has {len(reason)} characters; the limit is {LONGEST}. Shorten it.")
    return reason
