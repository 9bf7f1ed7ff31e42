"""What is done once at each start, before the processes that need it: database, tables, demo data."""

from pathlib import Path

import psycopg
from django.conf import settings
from django.core.management import call_command

from shop.catalogue.models import Product

CATALOGUE = Path(settings.BASE_DIR) / "shop" / "catalogue" / "data" / "catalogue.csv"


def prepare_database() -> None:
    """Create the database, when it is our PostgreSQL's, and bring its tables up to date."""
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
    """Fill an empty catalogue, and let somebody log in to the admin of a shop that is not in production."""
    if not Product.objects.exists():
        call_command("import_catalogue", str(CATALOGUE))
    if not settings.PRODUCTION:
        call_command("create_demo_users")
