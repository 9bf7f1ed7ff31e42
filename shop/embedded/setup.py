"""Preparation at each start of the shop: the database, its tables and the demo data."""

from pathlib import Path

import psycopg
from django.conf import settings
from django.core.management import call_command

from shop.catalogue.models import Product

CATALOGUE = Path(settings.BASE_DIR) / "shop" / "catalogue" / "data" / "catalogue.csv"


def prepare_database() -> None:
    """Create the database if PostgreSQL is one of the embedded parts, and apply the migrations."""
    if "postgres" not in settings.OUTSIDE_PARTS:
        _create_database()
    call_command("migrate", verbosity=1 if settings.DEBUG else 0, interactive=False)


def _create_database() -> None:
    database = settings.DATABASES["default"]
    with psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        dbname="postgres",
        autocommit=True,
    ) as connection:
        known = connection.execute("select from pg_database where datname = %s", [database["NAME"]]).fetchone()
        if known is None:
            connection.execute(psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(database["NAME"])))


def load_demo_data() -> None:
    """Import the demo catalogue if there are no products. Outside production, also create the demo users."""
    if not Product.objects.exists():
        call_command("import_catalogue", str(CATALOGUE))
    if not settings.PRODUCTION:
        call_command("create_demo_users")
