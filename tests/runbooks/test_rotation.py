"""docs/runbooks/rotation.md: PostgreSQL gets a new password while the shop is open."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Literal

from shop.embedded.credentials import write_secret
from tests.flows.test_life_of_an_order import assert_adds_up
from tests.plugin import choose_port
from tests.runbooks.conftest import WRITERS, confirm_orders
from tests.running_shop import RunningShop

pytestmark = pytest.mark.long
NEW = "a-new-password-1"


@pytest.fixture
def secure_shop(tmp_path: Path) -> Iterator[RunningShop]:
    shop = RunningShop(choose_port(8400), tmp_path / "var", SECURE="1")
    shop.start(240)
    yield shop
    shop.stop()
    shop.end_leftovers()


def test_all_processes_move_to_the_new_password(secure_shop: RunningShop) -> None:
    passfile = secure_shop.var_dir / "secure" / "pgpass"
    old = passfile.read_text()
    with psycopg.connect(secure_shop.addresses["postgres"], autocommit=True) as db:
        db.execute(SQL("alter role postgres password {}").format(Literal(NEW)))
    write_secret(passfile, old.rpartition(":")[0] + f":{NEW}\n")
    for part in WRITERS:
        secure_shop.part_stop(part)
        secure_shop.part_start(part)
    confirm_orders(secure_shop, 2)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(secure_shop.addresses["postgres"], password=old.strip().rpartition(":")[2])
    assert_adds_up(secure_shop)
