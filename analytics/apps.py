from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    name = "analytics"

    def ready(self) -> None:
        """Register the system check."""
        from analytics import checks  # noqa: F401 - registers the check; needs the models
