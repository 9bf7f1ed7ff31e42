from django.apps import AppConfig


class LabConfig(AppConfig):
    """The lab: the synchronous shop next to this one. Installed with LAB=1 only; it has no models and no migrations."""

    name = "shop.lab"
