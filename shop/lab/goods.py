"""The products that both shops sell in a run."""

import csv
import tempfile
from pathlib import Path

from django.core.management import call_command
from django.db import connection

from shop.lab.arrivals import PRODUCTS
from shop.lab.scenarios import FLASH_PRICE, PIECES

STOCK = 1_000_000
_COLUMNS = ("sku", "name", "category", "description", "price", "currency", "stock", "picture")


def prepare_goods(run_id: int, *, is_flash: bool) -> str:
    """Stock both shops. Return the only product of a flash sale, or "".

    Our shop gets the products by `import_catalogue`. A flash sale has a new product with PIECES pieces.
    """
    goods = {sku: (price, STOCK) for sku, price in PRODUCTS.items()}
    product = f"LAB-FLASH-{run_id}" if is_flash else ""
    if product:
        goods[product] = (FLASH_PRICE, PIECES)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lab.csv"
        with file.open("w", newline="") as opened:
            rows = csv.writer(opened)
            rows.writerow(_COLUMNS)
            for sku, (price, pieces) in goods.items():
                name = sku.replace("-", " ").title()
                rows.writerow([sku, name, "Lab", f"{name}: a product of the lab.", price, "EUR", pieces, ""])
        call_command("import_catalogue", str(file), verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("truncate lab_seed.stock")
        cursor.executemany(
            "insert into lab_seed.stock values (%s, %s)", [(sku, pieces) for sku, (_, pieces) in goods.items()]
        )
    return product
