"""Orders work although the database or the role has another default isolation level than READ COMMITTED."""

from collections.abc import Iterator

import pytest
from django.db import connection
from psycopg import sql

from tests.orders.conftest import Api, MakeBody

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["database", "role"])
def other_default(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let new sessions be serializable by default, and reconnect."""
    name = connection.settings_dict["NAME" if request.param == "database" else "USER"]
    alter = sql.SQL("alter {} {} ").format(sql.SQL(request.param), sql.Identifier(name))
    option = sql.SQL("default_transaction_isolation")
    with connection.cursor() as cursor:
        cursor.execute(alter + sql.SQL("set {} = 'serializable'").format(option))
    connection.close()
    yield
    with connection.cursor() as cursor:
        cursor.execute(alter + sql.SQL("reset {}").format(option))
    connection.close()


@pytest.mark.usefixtures("other_default")
def test_an_order_is_placed(api: Api, products: None, make_body: MakeBody) -> None:
    assert api.post(make_body()).status_code == 201
    with connection.cursor() as cursor:
        cursor.execute("show default_transaction_isolation")
        assert cursor.fetchone() == ("read committed",)
