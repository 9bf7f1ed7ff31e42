"""The admin of the relay's tables: read-only lists with actions, which are audited with the user's name."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from relay.consumer.registry import all_consumers
from relay.health.backlog import list_unpublished
from relay.models import ConsumerState, Cursor, Intervention, Outbox, ParkedKey, RelayMember, ShardLease
from relay.operations import Refused
from relay.operations.mend import redrive, skip
from relay.operations.parked import RELAY, Selection
from relay.operations.pause import pause, resume
from relay.publisher.canary import CanarySent
from relay.publisher.topics import known_events, known_topics

if apps.is_installed("unfold"):
    from unfold.admin import ModelAdmin
else:
    from django.contrib.admin import ModelAdmin


T = TypeVar("T")
# Maximum number of listed outbox rows, the newest first: counting millions of rows would be too slow for a page.
LISTED = 10_000


class ReadOnly(ModelAdmin):
    """An admin without forms. The change permission of a model allows its actions."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may use the actions."""
        return bool(request.user.has_perm(f"{self.opts.app_label}.{get_permission_codename('change', self.opts)}"))


def name_user(request: HttpRequest) -> str:
    """Return the name of the user for the audit."""
    return f"admin:{request.user.get_username()}"


def act_on_each(
    page: ReadOnly, request: HttpRequest, rows: Iterable[T], operation: Callable[[T], object], done: str
) -> None:
    """Call `operation` with each row; show the number of successes with the text `done`, and each refusal."""
    count = 0
    for row in rows:
        try:
            operation(row)
            count += 1
        except Refused as refusal:
            page.message_user(request, str(refusal), messages.ERROR)
    if count:
        page.message_user(request, f"{count} {done}", messages.SUCCESS)


def ask_reason(
    page: ReadOnly, request: HttpRequest, rows: QuerySet[Any], what: str, hidden: Mapping[str, object] | None = None
) -> TemplateResponse:
    """Return the page that requests the reason before an action runs; `what` is its title and button.

    `hidden` are additional hidden fields of the form.
    """
    context = {
        **page.admin_site.each_context(request),
        "title": what,
        "opts": page.opts,
        "rows": rows,
        "action": request.POST["action"],
        "hidden": hidden or {},
    }
    return TemplateResponse(request, "relay/give_reason.html", context)


class NamesFilter(admin.SimpleListFilter):
    """A filter whose choices come from the event classes: a query for them would read all rows for each page."""

    parameter_name: str
    names: Callable[[], Iterable[str]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(self.names())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Outbox]) -> QuerySet[Outbox]:
        return queryset.filter(**{self.parameter_name: self.value()}) if self.value() else queryset


class TypeFilter(NamesFilter):
    """A filter by event type."""

    title = parameter_name = "type"
    names = staticmethod(known_events)


class TopicFilter(NamesFilter):
    """A filter by topic. It hides canaries, of which there is one every few seconds, unless they are selected."""

    title = parameter_name = "topic"
    names = staticmethod(known_topics)

    def choices(self, changelist: Any) -> Iterator[Any]:
        every, *topics = super().choices(changelist)
        yield {**every, "display": f"All but {CanarySent.topic}"}
        yield from topics

    def queryset(self, request: HttpRequest, queryset: QuerySet[Outbox]) -> QuerySet[Outbox]:
        if not self.value() and not request.GET.keys() & {"type", "q"}:
            return queryset.exclude(topic=CanarySent.topic)
        return super().queryset(request, queryset)


class WaitingFilter(admin.SimpleListFilter):
    """A filter for rows that are not in Kafka. No index finds them, so it uses `list_unpublished`."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "Waiting for Kafka"), ("refused", "Refused by Kafka")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Outbox]) -> QuerySet[Outbox]:
        if self.value():
            return queryset.filter(position__in=list_unpublished(LISTED, refused=self.value() == "refused"))
        return queryset


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """A paginator of at most the first LISTED rows."""

    @cached_property
    def count(self) -> int:
        """The number of rows, at most LISTED."""
        rows: QuerySet[Outbox] = self.object_list  # type: ignore[assignment]
        return rows.order_by()[:LISTED].count()


@admin.register(Outbox)
class OutboxAdmin(ReadOnly):
    """All events, newest first."""

    list_display = ["position", "type", "topic", "key", "sequence", "created_at", "published_at", "refused_reason"]
    list_filter = [TopicFilter, TypeFilter, WaitingFilter]
    search_fields = ["key", "event_id"]
    search_help_text = "A whole key, or the id of an event."
    ordering = ["-position"]
    show_full_result_count = False
    paginator = BoundedPaginator
    actions = ["send_again"]

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Hide payloads, which may name persons, from staff without the permission to read them."""
        return [] if request.user.has_perm("relay.view_payload") else ["body"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search the key, which has an index. If no row has this key, scan all rows for the event id."""
        term = search_term.strip()
        found = queryset.filter(key=term) if term else queryset
        if term and not found.exists():
            with suppress(ValueError):
                found = queryset.filter(event_id=UUID(term))
        return found, False

    @admin.action(description="Send refused rows again", permissions=["act"])
    def send_again(self, request: HttpRequest, rows: QuerySet[Outbox]) -> None:
        """Clear the refusals, so that the relay sends the rows and later rows of their keys again."""
        actor = name_user(request)
        act_on_each(
            self,
            request,
            rows.exclude(refused_reason=None),
            lambda row: redrive(Selection(RELAY, row.topic, row.key), actor=actor),
            "refused rows will be sent again.",
        )


@admin.register(ParkedKey)
class ParkedKeyAdmin(ReadOnly):
    """Keys whose events wait because an event failed."""

    list_display = ["consumer", "topic", "key", "last", "reason", "attempts", "parked_at", "next_try_at"]
    list_filter = ["consumer", "topic"]
    search_fields = ["key", "reason"]
    ordering = ["parked_at"]
    actions = ["redrive", "skip"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cursor]:
        return ParkedKey.objects.exclude(parked_at=None)

    @admin.action(description="Redrive: read the events again from the outbox", permissions=["act"])
    def redrive(self, request: HttpRequest, keys: QuerySet[ParkedKey]) -> None:
        """Make the keys due now. Their consumers retry them within a second."""
        actor = name_user(request)
        act_on_each(
            self,
            request,
            keys,
            lambda key: redrive(Selection(key.consumer, key.topic, key.key), actor=actor),
            "keys will be retried.",
        )

    @admin.action(description="Skip the event at which each key waits", permissions=["act"])
    def skip(self, request: HttpRequest, keys: QuerySet[ParkedKey]) -> TemplateResponse | None:
        """Request the reason, then skip each key's event, unless its cursor has moved since the page was shown."""
        if not (reason := request.POST.get("reason", "").strip()):
            return ask_reason(self, request, keys, "Skip the event at which each of these keys waits")
        actor = name_user(request)
        act_on_each(
            self,
            request,
            keys,
            lambda key: skip(
                key.consumer,
                key.topic,
                key.key,
                actor=actor,
                reason=reason,
                sequence=int(request.POST.get(f"last_{key.pk}", -1)) + 1,
            ),
            "events were skipped.",
        )
        return None


@admin.register(ConsumerState)
class ConsumerStateAdmin(ReadOnly):
    """All consumers, paused or running."""

    list_display = ["consumer", "paused_at", "paused_by", "reason", "resume_at"]
    actions = ["pause", "resume"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConsumerState]:
        """Insert missing rows first: actions need a row, and a consumer that was never paused has none."""
        states = [ConsumerState(consumer=consumer.name) for consumer in all_consumers()]
        ConsumerState.objects.bulk_create(states, ignore_conflicts=True)
        return ConsumerState.objects.filter(consumer__in=[state.consumer for state in states])

    @admin.action(description="Pause", permissions=["act"])
    def pause(self, request: HttpRequest, states: QuerySet[ConsumerState]) -> TemplateResponse | None:
        """Request the reason, then pause the consumers until a person resumes them."""
        if not (reason := request.POST.get("reason", "").strip()):
            return ask_reason(self, request, states, "Pause these consumers")
        actor = name_user(request)
        act_on_each(
            self, request, states, lambda s: pause(s.consumer, actor=actor, reason=reason), "consumers are paused."
        )
        return None

    @admin.action(description="Resume", permissions=["act"])
    def resume(self, request: HttpRequest, states: QuerySet[ConsumerState]) -> None:
        """Resume the consumers, whether a person or a circuit breaker has paused them."""
        actor = name_user(request)
        act_on_each(self, request, states, lambda s: resume(s.consumer, actor=actor), "consumers are resumed.")


@admin.register(ShardLease)
class ShardLeaseAdmin(ReadOnly):
    """The shards and the relays that forward them."""

    list_display = ["shard", "owner", "epoch", "until"]
    ordering = ["shard"]


@admin.register(RelayMember)
class RelayMemberAdmin(ReadOnly):
    """The relays among which the shards are divided."""

    list_display = ["owner", "until"]


@admin.register(Intervention)
class InterventionAdmin(ReadOnly):
    """Manual changes, newest first."""

    list_display = ["at", "actor", "action", "consumer", "topic", "key", "sequence", "reason"]
    list_filter = ["action", "consumer"]
    search_fields = ["key", "actor", "reason"]
    ordering = ["-at"]
