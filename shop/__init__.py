"""The Django project: settings, the event contract between the apps, and the code that all apps share."""

from shop.celery import app as celery_app

__all__ = ["celery_app"]
