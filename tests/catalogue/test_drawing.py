"""The committed pictures are what the code draws."""

from shop.catalogue.drawing.__main__ import STATIC
from shop.catalogue.drawing.pictures import PICTURES, draw_picture
from shop.catalogue.drawing.scene import draw_scene


def test_every_picture_is_as_its_code_draws_it() -> None:
    changed = [
        sku
        for sku, picture in PICTURES.items()
        if (STATIC / "pictures" / f"{sku}.svg").read_text(encoding="utf-8") != draw_picture(picture)
    ]
    assert changed == [], "run: python -m shop.catalogue.drawing"
    assert (STATIC / "hero.svg").read_text(encoding="utf-8") == draw_scene()


def test_no_picture_lies_about_that_nothing_draws() -> None:
    assert {file.stem for file in (STATIC / "pictures").iterdir()} == set(PICTURES)


def test_no_two_products_look_the_same() -> None:
    assert len({draw_picture(picture) for picture in PICTURES.values()}) == len(PICTURES)
