"""Addresses of the figures in the REST API, below /api/v1/."""

from django.urls import path

from analytics.api import Analytics, AnalyticsPanel

urlpatterns = [
    path("analytics/", Analytics.as_view(), name="analytics"),
    path("analytics/<slug:panel>/", AnalyticsPanel.as_view(), name="analytics-panel"),
]
