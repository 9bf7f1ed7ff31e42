from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"

    def ready(self) -> None:
        """Register the system checks of payments."""
        from payments import checks  # noqa: F401
