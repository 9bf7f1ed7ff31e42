"""Import of the catalogue from a CSV file. A file with mistakes is not imported, and all mistakes are reported."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.contrib.staticfiles import finders
from django.utils.text import slugify

from shop.catalogue.models import SKU_PATTERN, Category, Product

COLUMNS = [
    "sku",
    "name",
    "category",
    "description",
    "price",
    "currency",
    "stock",
    "picture",
]
LONGEST = {"sku": 32, "name": 120, "category": 50, "description": 4000, "picture": 200}
REQUIRED = ["name", "category", "description"]
LARGEST_NUMBER = 2_147_483_647  # maximum of PostgreSQL's integer
UPDATED_FIELDS = ["name", "category", "description", "price", "currency", "picture"]


@dataclass(frozen=True)
class Mistake:
    """One mistake in a file. `line` is 1-based and includes the header; 0 means that the file can't be read."""

    line: int
    column: str
    value: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column} {self.value[:60]!r}: {self.message}"


class UnableToReadCatalogue(Exception):
    """The file has mistakes, which `mistakes` lists."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes


@dataclass(frozen=True)
class Row:
    """One product of the file. `price` is in minor units of the currency, and `stock` is the opening stock."""

    sku: str
    name: str
    category: str
    description: str
    price: int
    currency: str
    stock: int
    picture: str


def read_catalogue(file: Path) -> list[Row]:
    """Return all rows of a UTF-8 CSV file whose header contains `COLUMNS` in any order.

    :raises UnableToReadCatalogue: the file can't be read, has no rows, or has a mistake in a row.
    """
    mistakes: list[Mistake] = []
    rows: list[Row] = []
    first_lines: dict[str, int] = {}
    for line, values in read_lines(file, mistakes):
        wrong = list(find_mistakes(line, values))
        first = first_lines.setdefault(values["sku"], line)
        if first != line:
            wrong.append(Mistake(line, "sku", values["sku"], f"is already on line {first}"))
        mistakes += wrong
        if not wrong:
            rows.append(build_row(values))
    if not rows and not mistakes:
        mistakes.append(Mistake(1, "file", file.name, "has no products"))
    if mistakes:
        raise UnableToReadCatalogue(mistakes)
    return rows


def read_lines(file: Path, mistakes: list[Mistake]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row's first line and its values by column. Append unreadable rows to `mistakes`."""
    try:
        content = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        mistakes.append(Mistake(0, "file", str(file), error.strerror or str(error)))
        return
    except UnicodeDecodeError as error:
        mistakes.append(
            Mistake(
                error.object[: error.start].count(b"\n") + 1,
                "file",
                file.name,
                "is not UTF-8",
            )
        )
        return
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    line = 1
    try:
        header = [name.strip() for name in next(reader, [])]
        if sorted(header) != sorted(COLUMNS):
            mistakes.append(
                Mistake(
                    1,
                    "header",
                    ",".join(header),
                    f"the columns must be {','.join(COLUMNS)}",
                )
            )
            return
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) == len(header):
                yield (
                    line,
                    dict(zip(header, (cell.strip() for cell in cells), strict=True)),
                )
            elif cells:
                mistakes.append(
                    Mistake(
                        line,
                        "row",
                        ",".join(cells),
                        f"{len(cells)} values for {len(header)} columns",
                    )
                )
            line = reader.line_num + 1
    except csv.Error as error:
        mistakes.append(Mistake(line, "row", "", f"is not CSV: {error}"))


def build_row(values: dict[str, str]) -> Row:
    """Return the row for `values`, which must be valid."""
    return Row(
        sku=values["sku"],
        name=values["name"],
        category=values["category"],
        description=values["description"],
        price=int(values["price"]),
        currency=values["currency"],
        stock=int(values["stock"]),
        picture=values["picture"],
    )


def find_mistakes(line: int, values: dict[str, str]) -> Iterator[Mistake]:
    """Yield the mistakes in the values of one row."""
    for column, value in values.items():
        message = find_mistake(column, value)
        if message:
            yield Mistake(line, column, value, message)


def find_mistake(column: str, value: str) -> str:
    """Return the mistake in one value, or "" if the value is valid."""
    if "\0" in value:
        return "contains a NUL character"
    if len(value) > LONGEST.get(column, len(value)):
        return f"is longer than {LONGEST[column]} characters"
    if column in REQUIRED and not value:
        return "is empty"
    if column == "sku" and not re.fullmatch(SKU_PATTERN, value):
        return "must be capital letters, digits and hyphens"
    if column == "category" and not slugify(value):
        return "must contain a letter or digit that can be part of a URL"
    if column in ("price", "stock") and not (re.fullmatch("[0-9]{1,10}", value) and int(value) <= LARGEST_NUMBER):
        return f"must be a whole number from 0 to {LARGEST_NUMBER}"
    if column == "currency" and value != settings.SHOP_CURRENCY:
        return f"must be {settings.SHOP_CURRENCY}, the shop's currency"
    if column == "picture" and value and (PurePosixPath(value).is_absolute() or not find_picture(value)):
        return "is not a static file"
    return ""


def find_picture(path: str) -> bool:
    """Return whether `path` is the path of a static file."""
    return ".." not in PurePosixPath(path).parts and finders.find(path) is not None


def save_catalogue(rows: list[Row]) -> tuple[int, int]:
    """Create or update the categories and products of `rows` in the caller's transaction.

    Return the number of created products and the number of updated products.
    """
    categories = {slugify(row.category): Category(slug=slugify(row.category), name=row.category) for row in rows}
    Category.objects.bulk_create(
        categories.values(),
        update_conflicts=True,
        unique_fields=["slug"],
        update_fields=["name"],
    )
    saved = Category.objects.in_bulk(categories, field_name="slug")
    known = Product.objects.filter(sku__in=[row.sku for row in rows]).count()
    products = [
        Product(
            sku=row.sku,
            name=row.name,
            category=saved[slugify(row.category)],
            description=row.description,
            price=row.price,
            currency=row.currency,
            picture=row.picture,
        )
        for row in sorted(rows, key=lambda row: row.sku)
    ]
    Product.objects.bulk_create(
        products,
        update_conflicts=True,
        unique_fields=["sku"],
        update_fields=UPDATED_FIELDS,
        batch_size=500,
    )
    return len(rows) - known, known
