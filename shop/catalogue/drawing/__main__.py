"""Write every picture below the catalogue's static files."""

from pathlib import Path

from shop.catalogue.drawing.pictures import PICTURES, draw_picture
from shop.catalogue.drawing.scene import draw_scene

STATIC = Path(__file__).resolve().parent.parent / "static" / "catalogue"

if __name__ == "__main__":
    (STATIC / "hero.svg").write_text(draw_scene(), encoding="utf-8")
    for sku, picture in PICTURES.items():
        (STATIC / "pictures" / f"{sku}.svg").write_text(draw_picture(picture), encoding="utf-8")
    print(f"{len(PICTURES)} pictures and the front page's scene are drawn below {STATIC}")
