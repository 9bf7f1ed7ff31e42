"""Parked keys: the causes, the keys of a cause, and staged redrives of a cause."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from relay.admin import name_user
from relay.models import ConsumerState
from relay.operations import Refused
from relay.operations.parked import RELAY, Group, Selection, list_groups
from shop.control.access import require_permission, staff_action, viewer_page
from shop.control.models import CauseNote, Redrive
from shop.control.parked import redrives
from shop.control.parked.keys import read_page
from shop.control.reason import read_reason

ACT, ACT_ON_ROWS = "relay.change_parkedkey", "relay.change_outbox"
LONGEST_NOTE = 2000
#: A live process looks at each active redrive every second. After this time, the page says that none does.
UNSEEN_SECONDS = 15.0


def may_act(request: HttpRequest, consumer: str) -> bool:
    """Return whether the user may act on parked keys of `consumer`, or on refused rows of the relay."""
    return request.user.has_perm(ACT) and (consumer != RELAY or request.user.has_perm(ACT_ON_ROWS))


@viewer_page
def show_causes(request: HttpRequest) -> HttpResponse:
    """Show the causes of parked keys, the largest first, and the latest redrives."""
    groups = list_groups(Selection())
    notes = CauseNote.objects.in_bulk([group.fingerprint for group in groups])
    context = {
        "groups": [(group, notes.get(group.fingerprint)) for group in groups],
        "keys": sum(group.keys for group in groups),
        "redrives": Redrive.objects.exclude(state="chosen").order_by("-pk")[:10],
    }
    return render(request, "control/parked/causes.html", context)


@viewer_page
def show_cause(request: HttpRequest, fingerprint: str) -> HttpResponse:
    """Show one cause with its note and its keys."""
    return render_cause(request, fingerprint)


def render_cause(request: HttpRequest, fingerprint: str, *, error: str = "", status: int = 200) -> HttpResponse:
    """Return the page of a cause.

    :raises Http404: the cause is unknown: no key of it is parked, and nobody has redriven or noted it.
    """
    until = read_clock()  # first: the selection of a redrive has no key that parked after this page was read
    group = find_group(fingerprint)
    note = CauseNote.objects.filter(pk=fingerprint).first()
    former = list(Redrive.objects.filter(fingerprint=fingerprint).exclude(state="chosen").order_by("-pk")[:10])
    if not (group or note or former):
        raise Http404(f"no parked key has the cause {fingerprint}")
    context: dict[str, Any] = {
        "group": group,
        "note": note,
        "redrives": former,
        "until": until.isoformat(),
        "error": error,
    }
    context |= {"fingerprint": fingerprint, "longest_note": LONGEST_NOTE, "mark": request.GET.get("after", "")}
    if group:
        context["page"] = read_page(group.consumer, fingerprint, request.GET.get("after", ""))
        context["may_act"] = may_act(request, group.consumer)
    return render(request, "control/parked/cause.html", context, status=status)


def find_group(fingerprint: str) -> Group | None:
    """Return the group of a cause, or None if it has no parked key."""
    return next(iter(list_groups(Selection(fingerprint=fingerprint))), None)


def read_clock() -> datetime:
    """Return the time of the database."""
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now


@staff_action(ACT)
def write_note(request: HttpRequest, fingerprint: str) -> HttpResponse:
    """Store the note of a cause with the name of its author. An empty note removes it."""
    text = request.POST.get("text", "").strip()
    if len(text) > LONGEST_NOTE:
        error = f"The note has {len(text):,} characters; the limit is {LONGEST_NOTE:,}. Shorten it."
        return render_cause(request, fingerprint, error=error, status=422)
    if text and not find_group(fingerprint) and not CauseNote.objects.filter(pk=fingerprint).exists():
        raise Http404(f"no parked key has the cause {fingerprint}")
    if text:
        values = {"text": text, "written_by": request.user.get_username(), "written_at": Now()}
        CauseNote.objects.update_or_create(fingerprint=fingerprint, defaults=values)
    else:
        CauseNote.objects.filter(pk=fingerprint).delete()
    return redirect("control:parked-causes")


@staff_action(ACT)
def choose_keys(request: HttpRequest, fingerprint: str) -> HttpResponse:
    """Store the keys that the person saw as a selection, and show it for confirmation."""
    group = find_group(fingerprint)
    if group is None:
        raise Http404(f"no parked key has the cause {fingerprint}")
    if group.consumer == RELAY:
        require_permission(request, ACT_ON_ROWS)
    until = None
    with suppress(ValueError):
        until = datetime.fromisoformat(request.POST.get("until", ""))
    try:
        if until is None or until.tzinfo is None:
            raise Refused("The form has no valid time of the page: load the page again.")
        redrive = redrives.choose(group, until=until, actor=name_user(request))
    except Refused as refusal:
        return render_cause(request, fingerprint, error=str(refusal), status=422)
    return redirect("control:parked-redrive", redrive.pk)


@viewer_page
def show_redrive(request: HttpRequest, redrive_id: int) -> HttpResponse:
    """Show a selection before its start, or the progress and the result of a redrive by stage."""
    return render_redrive(request, get_object_or_404(Redrive, pk=redrive_id))


def render_redrive(request: HttpRequest, redrive: Redrive, *, error: str = "", status: int = 200) -> HttpResponse:
    """Return the page of a redrive."""
    stages = redrives.list_stages(redrive)
    context: dict[str, Any] = {
        "redrive": redrive,
        "stages": stages,
        "done": sum(stage.applied + stage.failed + stage.gone for stage in stages),
        "untried": redrive.keys - sum(s.applied + s.failed + s.gone + s.waiting for s in stages),
        "failed": redrives.list_failed(redrive),
        "may_act": may_act(request, redrive.consumer),
        "error": error,
        "reason": request.POST.get("reason", ""),
    }
    if redrive.is_active:
        seen = redrive.looked_at or redrive.started_at
        context["unseen"] = seen is not None and (read_clock() - seen).total_seconds() > UNSEEN_SECONDS
        context["pause"] = ConsumerState.objects.filter(consumer=redrive.consumer).exclude(paused_at=None).first()
    return render(request, "control/parked/redrive.html", context, status=status)


@staff_action(ACT)
def act_on_redrive(request: HttpRequest, redrive_id: int) -> HttpResponse:
    """Start a selection, stop a redrive, or choose the remaining keys, as the pressed button says."""
    redrive = get_object_or_404(Redrive, pk=redrive_id)
    if redrive.consumer == RELAY:
        require_permission(request, ACT_ON_ROWS)
    actor = name_user(request)
    try:
        match request.POST.get("do", ""):
            case "start":
                redrives.start(redrive.pk, actor=actor, reason=read_reason(request))
            case "stop":
                redrives.stop(redrive.pk, actor=actor)
            case "choose-remaining":
                redrive = redrives.choose_remaining(redrive, actor=actor)
            case unknown:
                raise Refused(f"There is no action {unknown!r}: use the buttons of this page.")
    except Refused as refusal:
        redrive.refresh_from_db()
        return render_redrive(request, redrive, error=str(refusal), status=422)
    return redirect("control:parked-redrive", redrive.pk)
