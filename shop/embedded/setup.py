"""Preparation at each start of the shop: the database, its tables and the demo data."""

from pathlib import Path

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from relay.database.fitness import DatabaseUnfit, demand_fitness
from shop.catalogue.models import Product
from shop.embedded.processes import CannotStart

CATALOGUE = Path(settings.BASE_DIR) / "shop" / "catalogue" / "data" / "catalogue.csv"


def prepare_database() -> None:
    """Create the database if PostgreSQL is one of the embedded parts, and apply the migrations.

    :raises CannotStart: the database has settings with which the relay would lose events.
    """
    if "postgres" not in settings.OUTSIDE_PARTS:
        _create_database()
    call_command("migrate", verbosity=1 if settings.DEBUG else 0, interactive=False)
    try:
        demand_fitness()
    except DatabaseUnfit as error:
        raise CannotStart(str(error)) from error


def _create_database() -> None:
    wanted = connection.get_connection_params()
    with psycopg.connect(**wanted | {"dbname": "postgres"}, autocommit=True) as server:
        name = wanted["dbname"]
        known = server.execute("select from pg_database where datname = %s", [name]).fetchone()
        if known is None:
            server.execute(psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(name)))


def prepare_kafka() -> None:
    """Create the missing topics. With SECURE=1 also let each process use its topics and its group."""
    call_command("create_topics")
    if settings.CREDENTIALS and "kafka" not in settings.OUTSIDE_PARTS:
        call_command("create_acls")


def load_demo_data() -> None:
    """Import the demo catalogue if there are no products. Outside production, also create the demo users."""
    if not Product.objects.exists():
        call_command("import_catalogue", str(CATALOGUE))
    if not settings.PRODUCTION:
        call_command("create_demo_users")
