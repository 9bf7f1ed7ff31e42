"""Each product of the demo catalogue has a separate picture."""

import csv
from pathlib import Path

from django.conf import settings

CATALOGUE = Path(settings.BASE_DIR) / "shop" / "catalogue"
PICTURES = CATALOGUE / "static" / "catalogue" / "pictures"


def test_each_product_of_the_catalogue_has_a_picture_and_each_picture_a_product() -> None:
    with (CATALOGUE / "data" / "catalogue.csv").open(encoding="utf-8", newline="") as file:
        named = [row["picture"] for row in csv.DictReader(file)]
    assert sorted(PICTURES.glob("*")) == sorted(CATALOGUE / "static" / name for name in named)


def test_no_two_pictures_are_the_same() -> None:
    pictures = [file.read_text(encoding="utf-8") for file in PICTURES.iterdir()]
    assert len(set(pictures)) == len(pictures)
