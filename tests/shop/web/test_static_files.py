"""Static files have a hash in their names, are cacheable for a year, and are compressed. HTML is compressed, too."""

import gzip
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.test import Client

from shop.catalogue.models import Product
from shop.web.static_files import compress_file
from tests.catalogue.conftest import make_product

CSS = "catalogue/shop.css"
BASE_DIR = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    """Use a temporary folder for compressed copies."""
    settings.VAR_DIR = tmp_path
    return tmp_path / "static"


def read_file(name: str) -> bytes:
    return Path(str(finders.find(name))).read_bytes()


def get(address: str, **headers: str) -> Any:
    """Return the response, with its content in the attribute `body`."""
    answer: Any = Client().get(address, headers=headers)
    answer.body = answer.getvalue()
    answer.close()
    return answer


def test_a_name_carries_the_hash_of_the_content_and_may_be_kept_for_a_year() -> None:
    address = static(CSS)
    assert re.fullmatch(r"/static/catalogue/shop\.[0-9a-f]{12}\.css", address)
    answer = get(address)
    assert answer["Cache-Control"] == "max-age=31536000, public, immutable"
    assert answer["Content-Type"] == "text/css; charset=utf-8"
    assert answer.body == read_file(CSS)


@pytest.mark.parametrize("name", [CSS, "catalogue/shop.0123456789ab.css"])
def test_a_name_without_the_present_hash_gets_the_present_file_for_a_minute(name: str) -> None:
    answer = get(f"/static/{name}")
    assert answer["Cache-Control"] == "max-age=60, public"
    assert answer.body == read_file(CSS)


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip, deflate"])
def test_a_file_is_compressed_for_a_browser_that_accepts_gzip(accepted: str) -> None:
    answer = get(static(CSS), Accept_Encoding=accepted)
    assert (answer["Content-Encoding"], answer["Vary"]) == ("gzip", "Accept-Encoding")
    compressed = answer.body
    assert gzip.decompress(compressed) == read_file(CSS)
    assert len(compressed) < 0.3 * len(read_file(CSS))


def test_a_deleted_copy_is_made_again(folder: Path) -> None:
    for _ in range(2):
        assert gzip.decompress(get(static(CSS), Accept_Encoding="gzip").body) == read_file(CSS)
        shutil.rmtree(folder)


def test_a_file_stays_uncompressed_if_compression_saves_little_or_fails(tmp_path: Path, settings: Any) -> None:
    (tmp_path / "tiny.svg").write_bytes(b"x")
    assert compress_file(tmp_path / "tiny.svg") is None
    assert compress_file(tmp_path / "picture.png") is None
    settings.VAR_DIR = tmp_path / "tiny.svg"  # no folder
    assert compress_file(Path(str(finders.find(CSS)))) is None


def test_a_browser_that_has_the_file_gets_no_body() -> None:
    etag = get(static(CSS))["ETag"]
    assert get(static(CSS), If_None_Match=etag).status_code == 304


@pytest.mark.parametrize("name", ["", "nowhere.css", "../settings.py", "catalogue/", "catalogue", "/etc/passwd", "%00"])
def test_a_missing_static_file_is_not_found(db: None, name: str) -> None:
    assert get(f"/static/{name}").status_code == 404


def test_the_name_of_a_missing_file_gets_no_hash() -> None:
    assert static("catalogue/pictures/NONE.svg") == "/static/catalogue/pictures/NONE.svg"


@pytest.fixture
def pages(admin_client: Client) -> Iterator[dict[str, str]]:
    """Return the HTML of one page of each kind, by address."""
    product = make_product("MUG", "Enamel Mug", 1400, "Kitchen", picture="catalogue/pictures/MAT-MOSE.svg")
    addresses = ["/", "/c/kitchen/", product.get_absolute_url(), "/cart/", "/admin/", "/api/docs/"]
    yield {address: admin_client.get(address).content.decode() for address in addresses}


@pytest.mark.django_db
def test_every_page_names_its_files_by_their_hashes(pages: dict[str, str]) -> None:
    for address, html in pages.items():
        names = re.findall(r'(?:src|href)="(/static/[^"]+)"', html)
        assert names, address
        assert [name for name in names if not re.search(r"\.[0-9a-f]{12}\.\w+$", name)] == [], address


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/", "/c/kitchen/", "/p/MUG/", "/search/?q=mug", "/nowhere/", "/admin/login/"])
def test_pages_are_compressed_for_a_browser_that_accepts_gzip(mug: Product, address: str) -> None:
    answer = get(address, Accept_Encoding="gzip")
    assert answer["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer["Vary"]
    assert gzip.decompress(answer.content).lstrip().lower().startswith(b"<!doctype html>")
    assert "Content-Encoding" not in get(address)


@pytest.mark.django_db
def test_the_length_of_a_compressed_page_does_not_reveal_its_token(mug: Product) -> None:
    client = Client()
    headers = {"Accept-Encoding": "gzip"}
    client.post("/cart/add/", {"sku": "MUG", "quantity": 1})
    assert len({len(client.get("/cart/", headers=headers).content) for _ in range(20)}) > 5  # random bytes
    client.get("/p/MUG/")
    tokens, lengths = set[str](), set[int]()
    for _ in range(20):  # each piece is compressed alone
        page = client.get("/p/MUG/", headers=headers)
        tokens |= set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', gzip.decompress(page.content).decode()))
        lengths.add(len(page.content))
    assert (len(tokens), len(lengths)) == (20, 1)


@pytest.mark.django_db
def test_the_api_is_not_compressed(mug: Product) -> None:
    assert "Content-Encoding" not in get("/api/v1/products/", Accept_Encoding="gzip")


def test_the_javascript_of_the_pages_is_small() -> None:
    """All own scripts together, although no page loads all of them. htmx does not count."""
    scripts = [
        path
        for path in BASE_DIR.glob("*/**/static/**/*.js")
        if not {".venv", "var"} & set(path.relative_to(BASE_DIR).parts)
    ]
    assert scripts
    assert sum(len(gzip.compress(path.read_bytes())) for path in scripts) <= 30_000


@pytest.fixture
def mug(db: None) -> Product:
    return make_product("MUG", "Enamel Mug", 1400, "Kitchen")
