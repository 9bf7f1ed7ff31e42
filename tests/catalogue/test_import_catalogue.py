"""A catalogue file is imported completely or not at all, and each mistake is reported with its line."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from inventory.models import Stock
from inventory.services import receive_stock
from shop.catalogue.csv_file import COLUMNS, UnableToReadCatalogue, read_catalogue
from shop.catalogue.models import Category, Product

pytestmark = pytest.mark.django_db
HEADER = ",".join(COLUMNS)
GOOD = "MUG,Enamel Mug,Camp Kitchen,Steel and enamel.,1400,EUR,12,catalogue/pictures/MUG-BIRCH.svg"
SHIPPED = Path(__file__).resolve().parents[2] / "shop" / "catalogue" / "data" / "catalogue.csv"
WriteFile = Callable[..., Path]


@pytest.fixture
def write_file(tmp_path: Path) -> WriteFile:
    """Return a function that writes a header and lines to a CSV file, and returns its path."""

    def write(*lines: str, header: str = HEADER) -> Path:
        file = tmp_path / "products.csv"
        file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return file

    return write


def import_file(file: Path) -> str:
    """Import `file`, and return the command's output."""
    printed = StringIO()
    call_command("import_catalogue", file, stdout=printed)
    return printed.getvalue()


def refuse_file(file: Path) -> str:
    """Import `file`, which must be refused, check that no rows are stored, and return the error output."""
    printed = StringIO()
    with pytest.raises(CommandError, match="nothing was imported") as refusal:
        call_command("import_catalogue", file, stderr=printed)
    assert refusal.value.returncode == 1
    assert not Product.objects.exists()
    assert not Category.objects.exists()
    assert not Stock.objects.exists()
    return printed.getvalue()


def test_a_good_file_makes_shelves_products_and_opening_stock(write_file: WriteFile) -> None:
    printed = import_file(write_file(GOOD, 'TENT,Tent,Shelter,"Sleeps two, in wind.",38900,EUR,0,'))
    mug, tent = Product.objects.select_related("category").order_by("sku")
    assert (mug.name, mug.price, mug.currency, mug.picture) == (
        "Enamel Mug",
        1400,
        "EUR",
        "catalogue/pictures/MUG-BIRCH.svg",
    )
    assert (mug.category.slug, mug.category.name) == ("camp-kitchen", "Camp Kitchen")
    assert (tent.description, tent.picture) == ("Sleeps two, in wind.", "")
    assert dict(Stock.objects.values_list("sku", "on_hand")) == {"MUG": 12, "TENT": 0}
    assert "2 categories, 2 products created, 0 updated, opening stock set for 2" in printed


def test_a_second_import_updates_products_and_leaves_stock_alone(write_file: WriteFile) -> None:
    import_file(write_file(GOOD))
    receive_stock("MUG", 5, "delivery")
    printed = import_file(
        write_file(GOOD.replace("1400", "1500").replace(",12,", ",99,"), "CUP,Cup,Camp Kitchen,A cup.,900,EUR,3,")
    )
    assert Product.objects.get(sku="MUG").price == 1500
    assert dict(Stock.objects.values_list("sku", "on_hand")) == {"MUG": 17, "CUP": 3}
    assert "1 products created, 1 updated, opening stock set for 1" in printed


def test_a_second_import_keeps_off_sale_what_staff_took_off_sale(write_file: WriteFile) -> None:
    import_file(write_file(GOOD))
    Product.objects.update(is_active=False)
    import_file(write_file(GOOD))
    assert not Product.objects.get().is_active


@pytest.mark.parametrize(
    ("row", "column", "value", "reason"),
    [
        (GOOD.replace("MUG,", "mug,", 1), "sku", "mug", "capital letters"),
        (GOOD.replace("MUG,", ",", 1), "sku", "", "capital letters"),
        (GOOD.replace("MUG,", "M" * 33 + ",", 1), "sku", "M" * 33, "longer than 32"),
        (GOOD.replace("Enamel Mug", ""), "name", "", "is empty"),
        (GOOD.replace("Enamel Mug", "x" * 121), "name", "x" * 60, "longer than 120"),
        (GOOD.replace("Camp Kitchen", ""), "category", "", "is empty"),
        (GOOD.replace("Camp Kitchen", "???"), "category", "???", "letter or digit"),
        (GOOD.replace("Steel and enamel.", ""), "description", "", "is empty"),
        (GOOD.replace("1400", "14.00"), "price", "14.00", "whole number"),
        (GOOD.replace("1400", "-1"), "price", "-1", "whole number"),
        (GOOD.replace("1400", ""), "price", "", "whole number"),
        (GOOD.replace("1400", "2147483648"), "price", "2147483648", "whole number"),
        (GOOD.replace("1400", "١٤"), "price", "١٤", "whole number"),
        (GOOD.replace("EUR", "USD"), "currency", "USD", "must be EUR"),
        (GOOD.replace("EUR", "eur"), "currency", "eur", "must be EUR"),
        (GOOD.replace(",12,", ",-3,"), "stock", "-3", "whole number"),
        (GOOD.replace(",12,", ",some,"), "stock", "some", "whole number"),
        (GOOD.replace("MUG-BIRCH.svg", "NONE.svg"), "picture", "catalogue/pictures/NONE.svg", "not a static file"),
        (GOOD.replace("catalogue/pictures", "../../.."), "picture", "../../../MUG-BIRCH.svg", "not a static file"),
        (
            GOOD.replace("catalogue/", "/catalogue/"),
            "picture",
            "/catalogue/pictures/MUG-BIRCH.svg",
            "not a static file",
        ),
        (GOOD.replace("enamel.", "ena\0mel."), "description", "Steel and ena\0mel.", "NUL"),
    ],
)
def test_a_bad_value_is_named_with_line_and_column(
    write_file: WriteFile, row: str, column: str, value: str, reason: str
) -> None:
    printed = refuse_file(write_file("CUP,Cup,Camp Kitchen,A cup.,900,EUR,3,", row))
    (line,) = printed.strip().splitlines()
    assert f"line 3, {column} {value!r}: " in line
    assert reason in line


def test_every_mistake_of_a_file_is_named_at_once(write_file: WriteFile) -> None:
    printed = refuse_file(write_file(GOOD.replace("1400", "x").replace("EUR", "X"), GOOD, "too,few,values"))
    assert [line.partition(": ")[2].partition(":")[0] for line in printed.strip().splitlines()] == [
        "line 2, price 'x'",
        "line 2, currency 'X'",
        "line 3, sku 'MUG'",
        "line 4, row 'too,few,values'",
    ]


def test_a_repeated_sku_is_reported_with_both_lines(write_file: WriteFile) -> None:
    assert "line 4, sku 'MUG': is already on line 2" in refuse_file(
        write_file(GOOD, "CUP,Cup,Camp Kitchen,A cup.,900,EUR,3,", GOOD)
    )


def test_lines_are_counted_through_line_breaks_in_quotes_and_empty_lines(write_file: WriteFile) -> None:
    file = write_file('CUP,Cup,Camp Kitchen,"One\ntwo\nthree.",900,EUR,3,', "", GOOD.replace("1400", "x"))
    assert "line 6, price 'x'" in refuse_file(file)


@pytest.mark.parametrize("header", [HEADER.replace("sku,", ""), HEADER + ",colour", HEADER.replace("price", "Price")])
def test_other_columns_are_refused(write_file: WriteFile, header: str) -> None:
    assert f"the columns must be {HEADER}" in refuse_file(write_file(GOOD, header=header))


def test_columns_may_come_in_any_order(write_file: WriteFile) -> None:
    values = dict(zip(COLUMNS, GOOD.split(","), strict=True))
    (row,) = read_catalogue(write_file(",".join(reversed(values.values())), header=",".join(reversed(values))))
    assert (row.sku, row.price, row.stock) == ("MUG", 1400, 12)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path, write_file: WriteFile) -> None:
    assert "No such file" in refuse_file(tmp_path / "none.csv")
    assert "has no products" in refuse_file(write_file())
    assert "line 2, row '': is not CSV" in refuse_file(write_file('MUG,"Enamel'))
    latin = tmp_path / "latin.csv"
    latin.write_bytes(f"{HEADER}\n{GOOD}\n".encode() + GOOD.replace("Mug", "Møg").encode("latin-1"))
    assert "line 3, file 'latin.csv': is not UTF-8" in refuse_file(latin)


def test_a_failure_while_saving_loads_nothing(write_file: WriteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(levels: dict[str, int]) -> int:
        raise RuntimeError("inventory says no")

    monkeypatch.setattr("shop.management.commands.import_catalogue.receive_opening_stock", fail)
    with pytest.raises(RuntimeError, match="inventory says no"):
        import_file(write_file(GOOD))
    assert not Product.objects.exists()


def test_the_catalogue_that_comes_with_the_shop_is_worth_visiting() -> None:
    rows = read_catalogue(SHIPPED)
    assert len(rows) >= 72
    assert len({row.category for row in rows}) == 8
    assert len({row.name for row in rows}) == len({row.description for row in rows}) == len(rows)
    assert len({row.picture for row in rows}) == len(rows)
    assert 4 <= sum(row.stock == 0 for row in rows) <= 10
    assert sum(1 <= row.stock <= 5 for row in rows) >= 4
    import_file(SHIPPED)
    assert Product.objects.count() == Stock.objects.count() == len(rows)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "excel.csv"
    file.write_text(f"{HEADER}\r\n{GOOD}\r\n", encoding="utf-8-sig", newline="")
    assert [row.sku for row in read_catalogue(file)] == ["MUG"]


def test_the_error_lists_its_mistakes(write_file: WriteFile) -> None:
    with pytest.raises(UnableToReadCatalogue) as error:
        read_catalogue(write_file(GOOD.replace("1400", "x")))
    assert [(mistake.line, mistake.column, mistake.value) for mistake in error.value.mistakes] == [(2, "price", "x")]
