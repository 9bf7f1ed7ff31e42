"""REST API of the figures for staff: how complete they are, the list of panels, and the rows of one panel."""

from typing import Any

from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics.panels.catalogue import PANELS
from analytics.panels.completion import read_complete
from analytics.panels.period import DEFAULT, SPANS, choose_period
from shop.web.problems import Problem

_COMPLETE = {
    "until": "2026-11-22T16:51:22.696635Z",
    "is_waiting": False,
    **{"parked_keys": 0, "parked_events": 0, "refused_keys": 0, "not_recorded": 0, "late": 3, "restated": 0},
    **{"archived_until": "2026-08-23", "overdue_days": 0},
}
_ERRORS = {
    401: OpenApiResponse(Problem, "Nobody is logged in, or the token is wrong."),
    403: OpenApiResponse(Problem, "The user lacks the permission analytics.view_orderfact."),
}


class MayViewSales(BasePermission):
    """Allows staff with the permission to view the facts about orders."""

    message = "This needs the permission analytics.view_orderfact."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the user is staff with the permission."""
        return bool(request.user and request.user.is_staff and request.user.has_perm("analytics.view_orderfact"))


class CompletenessAnswer(serializers.Serializer[Any]):
    """How complete the figures are."""

    until = serializers.DateTimeField(help_text="Every event that occurred before this time is counted.")
    is_waiting = serializers.BooleanField(help_text="Whether an event waits to be counted.")
    parked_keys = serializers.IntegerField(help_text="Keys whose events are missing until a person repairs them.")
    parked_events = serializers.IntegerField(help_text="Missing events of the parked keys.")
    refused_keys = serializers.IntegerField(help_text="Keys that wait because Kafka refused an event.")
    not_recorded = serializers.IntegerField(help_text="Lost activity of the last day, at least.")
    late = serializers.IntegerField(help_text="Events of the last day that came over five minutes late. They count.")
    restated = serializers.IntegerField(help_text="Events of the last day that came after their day was sealed.")
    archived_until = serializers.DateField(allow_null=True, help_text="The last day whose activity is in the archive.")
    overdue_days = serializers.IntegerField(help_text="Days of activity that should have been dropped a day ago.")


class PanelSummary(serializers.Serializer[Any]):
    """A panel in the list."""

    name = serializers.CharField(help_text="The name for the address of the panel.")
    title = serializers.CharField()
    definition = serializers.CharField(help_text="The exact meaning of the figures.")
    columns = serializers.DictField(child=serializers.CharField(), help_text="Names of the columns and their labels.")


class AnalyticsAnswer(serializers.Serializer[Any]):
    """The list of panels."""

    complete = CompletenessAnswer()
    panels = PanelSummary(many=True)


class PanelAnswer(serializers.Serializer[Any]):
    """The figures of one panel."""

    name = serializers.CharField()
    span = serializers.ChoiceField(list(SPANS))
    begin = serializers.DateTimeField(help_text="Begin of the period, part of it.")
    end = serializers.DateTimeField(help_text="End of the period, not part of it.")
    complete = CompletenessAnswer()
    rows = serializers.ListField(
        child=serializers.DictField(),
        help_text="Values by column. Amounts are in minor units of the row's currency; null is unknown, never zero.",
    )


@method_decorator(never_cache, name="dispatch")
class Analytics(APIView):
    """How complete the figures are, and all panels."""

    permission_classes = [MayViewSales]

    @extend_schema(
        operation_id="analytics_list",
        summary="List the figures of sales",
        examples=[
            OpenApiExample(
                "One panel",
                {
                    "complete": _COMPLETE,
                    "panels": [
                        {
                            "name": "declines",
                            "title": "Declined payments",
                            "definition": "Orders of the period whose payment the gateway declined, by its reason.",
                            "columns": {"reason": "Reason", "orders": "Orders", "share": "Share"},
                        }
                    ],
                },
                response_only=True,
            )
        ],
        responses={200: AnalyticsAnswer, **_ERRORS},
    )
    def get(self, request: Request) -> Response:
        """List all panels with their definitions, and say how complete their figures are. For staff."""
        return Response(AnalyticsAnswer({"complete": read_complete(), "panels": list(PANELS.values())}).data)


@method_decorator(never_cache, name="dispatch")
class AnalyticsPanel(APIView):
    """One panel."""

    permission_classes = [MayViewSales]

    @extend_schema(
        operation_id="analytics_panel",
        summary="Read one panel of sales",
        parameters=[
            OpenApiParameter(
                "span", str, description="The last hour, day or 30 days.", enum=list(SPANS), default=DEFAULT
            ),
        ],
        examples=[
            OpenApiExample(
                "Declined payments of a day",
                {
                    **{"name": "declines", "span": "day", "complete": _COMPLETE},
                    **{"begin": "2026-11-21T17:00:00Z", "end": "2026-11-22T17:00:00Z"},
                    "rows": [{"reason": "insufficient_funds", "orders": 4, "share": 0.0103}],
                },
                response_only=True,
            )
        ],
        responses={
            200: PanelAnswer,
            400: OpenApiResponse(Problem, "There is no such span."),
            **_ERRORS,
            404: OpenApiResponse(Problem, "There is no such panel."),
        },
    )
    def get(self, request: Request, panel: str) -> Response:
        """Read the rows of one panel. Figures are at most 2 s (hour), 10 s (day) or 60 s (30 days) old. For staff."""
        if panel not in PANELS:
            raise NotFound(f"There is no panel {panel}. There are {', '.join(PANELS)}.")
        span = request.query_params.get("span", DEFAULT)
        if span not in SPANS:
            raise serializers.ValidationError({"span": [f"{span!r} is not one of {', '.join(SPANS)}."]})
        period, complete = choose_period(span, timezone.now()), read_complete()
        answer = {"name": panel, "span": span, "begin": period.begin, "end": period.end, "complete": complete}
        return Response(PanelAnswer({**answer, "rows": PANELS[panel].read_rows(period, complete)}).data)
