"""One parked key: its event, its attempts, its traceback, what waits behind it; edit, retry and skip."""

import msgspec
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from relay.admin import name_user
from relay.operations import Refused
from relay.operations.mend import edit, skip
from relay.operations.parked import RELAY, Detail, find_parked, show_parked
from relay.operations.stages import Waiter, release
from shop.control.access import require_permission, staff_action, viewer_page
from shop.control.parked.keys import describe_order, find_address, find_numbers
from shop.control.parked.pages import ACT, ACT_ON_ROWS, may_act
from shop.control.payloads import SEE_PAYLOADS, format_payload
from shop.control.reason import read_reason

Where = tuple[str, str, str]


@viewer_page
def show_key(request: HttpRequest) -> HttpResponse:
    """Show the parked key that the address names."""
    where = (request.GET.get("consumer", ""), request.GET.get("topic", ""), request.GET.get("key", ""))
    try:
        detail = show_parked(*where)
    except Refused as refusal:
        if not all(where):
            raise Http404("the address names no parked key") from refusal
        return render(request, "control/parked/gone.html", {"where": where, "text": str(refusal)}, status=404)
    return render_key(request, detail)


def render_key(request: HttpRequest, detail: Detail, *, error: str = "", status: int = 200) -> HttpResponse:
    """Return the page of a parked key. After an error, the fields keep what the person entered."""
    parked, may_change = detail.parked, may_act(request, detail.parked.consumer)
    may_read = may_change or request.user.has_perm(SEE_PAYLOADS)
    body = format_payload(detail.event.body, whole=may_read) if detail.event else ""
    number, order = describe_order(find_numbers([parked.key]).get(parked.key, ""))
    context = {
        "parked": parked,
        "detail": detail,
        "further": max(0, detail.behind - len(detail.next_behind)),
        "body": body,
        "edited": request.POST.get("body", body),
        "reason": request.POST.get("reason", ""),
        "may_act": may_change,
        "may_read": may_read,
        "may_skip": may_change and parked.consumer != RELAY,
        "number": number,
        "order": order,
        "error": error,
    }
    return render(request, "control/parked/key.html", context, status=status)


@staff_action(ACT)
def act_on_key(request: HttpRequest) -> HttpResponse:
    """Edit and retry, retry, or skip the event at which a key waits, as the pressed button says."""
    where = (request.POST.get("consumer", ""), request.POST.get("topic", ""), request.POST.get("key", ""))
    if where[0] == RELAY:
        require_permission(request, ACT_ON_ROWS)
    try:
        parked = find_parked(*where)
    except Refused as refusal:
        raise Http404(str(refusal)) from refusal
    try:
        done = _act(request, where, _read_sequence(request))
    except Refused as refusal:
        return render_key(request, show_parked(*where), error=str(refusal), status=422)
    messages.success(request, done)
    return redirect(find_address(parked) if where[0] == RELAY else "control:parked-causes")


def _act(request: HttpRequest, where: Where, sequence: int) -> str:
    """Do what the button says; return what was done.

    :raises Refused: the reason is missing, or the key does not wait at the event `sequence` any more.
    """
    reason, actor = read_reason(request), name_user(request)
    match request.POST.get("do", ""):
        case "skip":
            skip(*where, actor=actor, reason=reason, sequence=sequence)
            return f"Event {sequence} of {where[2]} is skipped. The events behind it are tried within a second."
        case "edit":
            with transaction.atomic():
                edit(*where, _read_body(request, where), actor=actor, reason=reason)
                _retry(where, sequence, actor, reason)
            return f"Event {sequence} of {where[2]} is changed and is tried within a second."
        case "retry":
            _retry(where, sequence, actor, reason)
            return f"Event {sequence} of {where[2]} is tried within a second."
        case unknown:
            raise Refused(f"There is no action {unknown!r}: use the buttons of this page.")


def _retry(where: Where, sequence: int, actor: str, reason: str) -> None:
    """Release exactly the event that the page showed.

    :raises Refused: the key waits at another event.
    """
    if not release(where[0], [Waiter(where[1], where[2], sequence)], actor=actor, reason=reason):
        raise Refused(f"The key does not wait at event {sequence} any more: check the event below and retry.")


def _read_sequence(request: HttpRequest) -> int:
    text = request.POST.get("sequence", "")
    if not text.isdecimal() or len(text) > 18:
        raise Refused(f"The form names no event: its number is {text[:40]!r}. Load the page again.")
    return int(text)


def _read_body(request: HttpRequest, where: Where) -> str:
    """Return the entered payload without the spaces that the page added.

    :raises Refused: the payload is no JSON, or it is the same as before.
    """
    try:
        body = msgspec.json.encode(msgspec.json.decode(request.POST.get("body", ""))).decode()
    except msgspec.DecodeError as error:
        raise Refused(f"The payload is not JSON: {error}. Correct it and send it again.") from error
    event = show_parked(*where, limit=0).event
    if event and format_payload(event.body, whole=True) == format_payload(body, whole=True):
        raise Refused("The payload is the same as before: change it, or use Retry.")
    return body
