"""Moments outside the events: calls to the gateway, letters, and the actions of people."""

from collections.abc import Iterator
from dataclasses import replace

from django.urls import reverse

from payments.models import Attempt
from shop.catalogue.money import format_money
from shop.control.recorder.facts import Facts
from shop.control.recorder.moments import GATEWAY, LETTERS, PEOPLE, Moment

#: The permissions for the parts of the record, as in the admin.
SEE_ATTEMPTS, SEE_MESSAGES = "payments.view_attempt", "notifications.view_message"
SEE_ACTIONS, SEE_INTERVENTIONS = "audit.view_staffaction", "relay.view_intervention"


def list_work(facts: Facts) -> Iterator[Moment]:
    """Yield a moment for each operation at the gateway, and one for an operation that no worker has begun."""
    for attempt in facts.attempts:
        yield describe_attempt(facts, attempt)
    payment = facts.payment
    begun = {attempt.operation for attempt in facts.attempts if attempt.finished_at is None}
    if payment and payment.wanted != "nothing" and payment.wanted not in begun:
        text = f"{payment.wanted} waits for a worker, due at {payment.due_at:%H:%M:%S}"
        yield Moment(GATEWAY, text, state="waiting", permission=SEE_ATTEMPTS)


def describe_attempt(facts: Facts, attempt: Attempt) -> Moment:
    """Return the moment of the gateway's final answer, or the state of an operation without one."""
    assert facts.payment
    amount = next((row.amount for row in facts.refunds if row.pk == attempt.refund_id), facts.payment.amount)
    what = f"{attempt.operation} {format_money(amount, facts.payment.currency)}"
    calls = f"{attempt.calls} call{'' if attempt.calls == 1 else 's'}, begun {attempt.started_at:%H:%M:%S}"
    if attempt.finished_at:
        return Moment(GATEWAY, f"{what}: {attempt.outcome} ({calls})", attempt.finished_at, permission=SEE_ATTEMPTS)
    problem = f"; the last answer: {attempt.outcome}" if attempt.outcome else ""
    text = f"{what}: no final answer yet ({calls}{problem}); next step at {facts.payment.due_at:%H:%M:%S}"
    return Moment(GATEWAY, text, state="waiting", permission=SEE_ATTEMPTS)


def list_letters(facts: Facts) -> Iterator[Moment]:
    """Yield a moment for each e-mail and each SMS. A message in the shop is an effect without a delivery."""
    numbers = {event.event_id: number for number, event in enumerate(facts.events, 1)}
    for message in facts.messages:
        if message.channel == "shop":
            continue
        number = numbers.get(message.event_id, 0)
        what = f"{message.get_channel_display()} “{message.kind}”"
        place = reverse("admin:notifications_message_change", args=[message.pk])
        stopped = Moment(LETTERS, "", None, number, "stopped", True, SEE_MESSAGES, place, "Message")
        match message.status:
            case "sent":
                yield Moment(LETTERS, f"{what} sent", message.sent_at, number, permission=SEE_MESSAGES)
            case "pending":
                why = f" ({message.error})" if message.error else ""
                text = f"{what} waits for a worker, due at {message.due_at:%H:%M:%S}{why}"
                yield Moment(LETTERS, text, None, number, "waiting", permission=SEE_MESSAGES)
            case _:
                yield replace(stopped, text=f"{what} {message.status}: {message.error}")


def list_people(facts: Facts) -> Iterator[Moment]:
    """Yield a moment for each action of the staff, each intervention, and a cancellation by the customer."""
    created = {event.event_id: event.created_at for event in facts.events}
    for step in facts.steps:
        if step.by == "customer":
            at = created.get(step.event_id, step.at)
            yield Moment(PEOPLE, f"customer: {step.event}", at, exact=step.event_id in created)
    for action in facts.actions:
        text = f"{action.actor}: {action.action} {action.subject.partition(':')[0]}: {action.reason}"
        yield Moment(PEOPLE, text, action.at, permission=SEE_ACTIONS)
    for row in facts.interventions:
        where = f" of {row.consumer}" if row.consumer else ""
        event = f" #{row.sequence} of {row.topic}" if row.sequence else ""
        text = f"{row.actor}: {row.action}{event}{where}: {row.reason or 'no reason given'}"
        yield Moment(PEOPLE, text, row.at, permission=SEE_INTERVENTIONS)
