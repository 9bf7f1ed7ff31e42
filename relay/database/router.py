"""Leads the relay's models and migrations to the alias RELAY["DATABASE"]."""

from typing import Any

from django.db.models import Model

from relay.conf import configuration


class Router:
    """A database router for settings.DATABASE_ROUTERS. It has an opinion about the models of the app `relay` only."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        """Return the relay's alias for a model of the relay."""
        return configuration().database if model._meta.app_label == "relay" else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Return whether the relay's tables belong into the database `db`; None for other apps."""
        return db == configuration().database if app_label == "relay" else None
