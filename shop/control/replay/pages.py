"""Replays: a dry run first, then the run with its progress. Closing the page pauses the run."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from relay.admin import name_user
from relay.operations import Refused
from shop.control.access import staff_action, viewer_page
from shop.control.models import Replay
from shop.control.reason import read_reason
from shop.control.replay import runs
from shop.control.replay.forms import SpanForm

ACT = "relay.change_consumerstate"
LISTED = 20


@viewer_page
def show_replays(request: HttpRequest) -> HttpResponse:
    """Show the form of a new dry run, and the latest replays."""
    return render_replays(request, SpanForm(), 200)


def render_replays(request: HttpRequest, form: SpanForm, status: int) -> HttpResponse:
    """Return the page with the form and the latest replays."""
    replays = Replay.objects.order_by("-pk")[:LISTED]
    context = {"form": form, "replays": [(replay, find_word(replay)) for replay in replays]}
    context["may_act"] = request.user.has_perm(ACT)
    return render(request, "control/replay/list.html", context, status=status)


@staff_action(ACT)
def begin_count(request: HttpRequest) -> HttpResponse:
    """Store a new dry run and count its first events."""
    form = SpanForm(request.POST)
    if not form.is_valid():
        return render_replays(request, form, 422)
    replay = runs.create(form.cleaned_data["consumer"], form.stretch, form.span, actor=name_user(request))
    runs.take_step(replay.pk)
    return redirect("control:replay", replay.pk)


@viewer_page
def show_replay(request: HttpRequest, replay_id: int) -> HttpResponse:
    """Show a dry run, a run and its progress, or its result."""
    replay = get_object_or_404(Replay, pk=replay_id)
    # A dry run only reads, so the page of its author continues it without a button.
    goes_on = replay.state == Replay.State.counting and replay.created_by == name_user(request)
    return render_replay(request, replay, goes_on=goes_on)


def render_replay(
    request: HttpRequest, replay: Replay, *, goes_on: bool = False, error: str = "", status: int = 200
) -> HttpResponse:
    """Return the page of a replay.

    :param goes_on: the page requests the next step automatically, because its reader has pressed a button on it.
    """
    planned = replay.planned
    context: dict[str, Any] = {
        "replay": replay,
        "word": find_word(replay),
        "goes_on": goes_on and replay.state in runs.OPEN,
        "is_open": replay.state in runs.OPEN,
        "is_counting": replay.state in runs.COUNTING,
        "is_old": replay.state == Replay.State.counted and runs.is_old(replay),
        "done": replay.reached - replay.first + 1,
        "size": replay.last - replay.first + 1,
        "seconds": runs.predict_seconds(replay.consumer, planned["to_apply"]) if planned else None,
        "may_act": request.user.has_perm(ACT),
        "reason": request.POST.get("reason", ""),
        "error": error,
    }
    return render(request, "control/replay/replay.html", context, status=status)


def find_word(replay: Replay) -> str:
    """Return the state of a replay for people."""
    if runs.is_silent(replay):
        return "paused: no page continues it"
    words = {"counting": "dry run in progress", "counted": "dry run", "checking": "checking the figures again"}
    return words.get(replay.state, replay.state)


@staff_action(ACT)
def act_on_replay(request: HttpRequest, replay_id: int) -> HttpResponse:
    """Do what the pressed button says. With htmx the answer is the page itself, which requests the next step."""
    replay = get_object_or_404(Replay, pk=replay_id)
    do, is_htmx = request.POST.get("do", "step"), "HX-Request" in request.headers
    try:
        if do in ("start", "recount", "resume", "step"):
            replay = _continue(request, replay_id, do)
        elif do == "pause":
            runs.pause(replay_id)
        elif do == "abort":
            runs.abort(replay_id, actor=name_user(request))
        else:
            raise Refused(f"There is no action {do!r}: use the buttons of this page.")
    except Refused as refusal:
        replay.refresh_from_db()
        status = 200 if is_htmx else 422  # htmx shows no answer with 422
        return render_replay(request, replay, error=str(refusal), status=status)
    if is_htmx:
        replay.refresh_from_db()
        return render_replay(request, replay, goes_on=True)
    return redirect("control:replay", replay_id)


def _continue(request: HttpRequest, replay_id: int, do: str) -> Replay:
    """Change the state as `do` says, and take a step."""
    if do == "start":
        runs.start(replay_id, actor=name_user(request), reason=read_reason(request))
    elif do == "recount":
        runs.recount(replay_id)
    elif do == "resume":
        runs.resume(replay_id)
    return runs.take_step(replay_id)
