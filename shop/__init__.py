"""The project: settings, the contract between the apps, and what all of them share."""

from shop.celery import app as celery_app

__all__ = ["celery_app"]
