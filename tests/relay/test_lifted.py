"""The wheel of relay/ and docs/relay.md, carried out: the page's blocks make a project in an empty environment.

The environment holds the wheel and the distributions that the wheel requires. It needs no network: links lead to the
distributions that are installed here.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from email import message_from_bytes
from importlib.metadata import distribution
from pathlib import Path
from uuid import uuid4
from zipfile import ZipFile

import psycopg
import pytest
from django.conf import settings
from msgspec import to_builtins
from packaging.requirements import Requirement

import relay
from relay.conf import Configuration
from tests.processes import end_process

BASE_DIR = Path(settings.BASE_DIR)
PAGE = (BASE_DIR / "docs" / "relay.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
FILES = [block for language, block in BLOCKS if language == "python" and block.startswith("# ")]
SNIPPETS = [block for language, block in BLOCKS if language == "python" and not block.startswith("# ")]

# The settings of `startproject` that matter here.
SETTINGS = """
import os
SECRET_KEY = "for-this-test-only"
ROOT_URLCONF = "mysite.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
ALLOWED_HOSTS = ["testserver"]
INSTALLED_APPS = ["django.contrib." + name for name in ("admin", "auth", "contenttypes", "sessions", "messages")]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": ["django.template.context_processors." + "request",
                                       "django.contrib.auth.context_processors.auth",
                                       "django.contrib.messages.context_processors.messages"]},
}]
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["DATABASE"],
    "USER": "postgres", "HOST": "127.0.0.1", "PORT": os.environ["POSTGRES_PORT"],
}}
"""
URLS = """
from django.contrib import admin
from django.urls import path
urlpatterns = [path("admin/", admin.site.urls)]
"""
MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
execute_from_command_line(sys.argv)
"""
LEND_AND_LOOK = """
import sys, relay
assert relay.__file__.startswith(sys.prefix), relay.__file__
from django.core.management import call_command
call_command("check", fail_level="WARNING")
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from library.services import lend
for title in ("Emma", "Ulysses", "Middlemarch"):
    lend("Ada", title)
client = Client()
client.force_login(User.objects.create_superuser("staff"))
pages = [model for model in admin.site._registry if model.__module__ == "relay.models"]
assert len(pages) >= 2, pages
for model in pages:
    page = client.get(f"/admin/relay/{model._meta.model_name}/")
    assert page.status_code == 200, (model, page)
"""
IMPORT_EVERYTHING = """
import pkgutil, importlib, relay
for module in pkgutil.walk_packages(relay.__path__, "relay."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as missing:
        assert (module.name, missing.name) == ("relay.health.metrics", "prometheus_client"), (module, missing)
"""


def build_wheel(folder: Path) -> Path:
    """Build an sdist and from it the wheel, with the build tools that are installed here; return the wheel's path."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(BASE_DIR / "relay")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("django_outbox_relay-*.whl")
    return wheel


def read_metadata(wheel: Path, field: str) -> list[str]:
    with ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name)).get_all(field, [])


def read_requirements(wheel: Path) -> list[Requirement]:
    """Return what the wheel requires, its extras included."""
    return [Requirement(text) for text in read_metadata(wheel, "Requires-Dist")]


def is_wanted(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})


def find_required(wheel: Path) -> set[str]:
    """Return the names of all distributions that installing the wheel brings, without its extras."""
    wanted = [requirement for requirement in read_requirements(wheel) if is_wanted(requirement, set())]
    brought: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        brought.add(requirement.name)
        below = map(Requirement, distribution(requirement.name).requires or [])
        wanted += [one for one in below if is_wanted(one, requirement.extras) and one.name not in brought]
    return brought


def make_environment(folder: Path, wheel: Path) -> Path:
    """Make a virtual environment with the wheel and what it requires, and return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    (site_packages,) = folder.glob("lib/python*/site-packages")
    for name in find_required(wheel):
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            if not (site_packages / top).exists():
                (site_packages / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    for arguments in (["install", "--quiet", "--no-deps", "--no-index", str(wheel)], ["check"]):
        done = subprocess.run([*pip, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return python


class Project:
    """A project that follows the page."""

    def __init__(self, folder: Path, python: Path, database: str) -> None:
        self.folder = folder
        self.python = python
        self.database = database
        self._environment = {
            "PATH": os.environ["PATH"],
            "DATABASE": database,
            "POSTGRES_PORT": str(settings.POSTGRES_PORT),
            "KAFKA": ",".join(settings.RELAY["BOOTSTRAP_SERVERS"]),
        }
        self.write("manage.py", MANAGE)
        self.write("mysite/settings.py", SETTINGS)
        self.write("mysite/urls.py", URLS)
        self.write("library/migrations/__init__.py", "")
        for block in FILES:
            self.write(block.splitlines()[0].removeprefix("# "), block)

    def write(self, name: str, text: str) -> None:
        """Append to a file, and make the packages that it lies in."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(text)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.python), *arguments],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        process = self.begin(*arguments)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, f"{' '.join(arguments)}:\n{output}"
        return output

    def count_loans(self) -> int:
        with psycopg.connect(postgres(self.database)) as connection:
            row = connection.execute("select loans from library_reader where name = 'Ada'").fetchone()
        return row[0] if row else 0


def postgres(database: str) -> str:
    return f"host=127.0.0.1 port={settings.POSTGRES_PORT} user=postgres dbname={database}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture
def project(tmp_path: Path, wheel: Path, parts: object) -> Iterator[Project]:
    name = f"lifted_{uuid4().hex}"
    with psycopg.connect(postgres("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    yield Project(tmp_path / "project", make_environment(tmp_path / "environment", wheel), name)
    with psycopg.connect(postgres("postgres"), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)".encode())


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    folder = BASE_DIR / "relay"
    own = {path for path in folder.rglob("*") if path.suffix in (".py", ".html") or path.name == "py.typed"}
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {path.relative_to(BASE_DIR).as_posix() for path in own}
    assert wheel.name.split("-")[1] == relay.__version__


def test_the_wheel_requires_what_is_tested_here(wheel: Path) -> None:
    assert read_metadata(wheel, "Provides-Extra") == ["metrics", "tracing", "unfold"]
    for requirement in read_requirements(wheel):
        assert distribution(requirement.name).version in requirement.specifier, requirement


def test_the_page_makes_a_project_that_works(project: Project) -> None:
    (commands,) = [block for language, block in BLOCKS if language == "sh" and "manage.py run_relay" in block]
    *steps, relay, consume = [line.split()[1:] for line in commands.splitlines()]
    for step in steps:
        project.run(*step)
    processes = [project.begin(*relay), project.begin(*consume)]
    try:
        project.run("manage.py", "shell", "-c", "\n".join([LEND_AND_LOOK, IMPORT_EVERYTHING, *SNIPPETS]))
        deadline = time.monotonic() + 120
        while project.count_loans() < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        outputs = [end_process(process, seconds=60) for process in processes]
    assert project.count_loans() == 3, "\n".join(outputs)
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    assert "OK" in project.run("manage.py", "test")


def test_the_page_knows_every_setting_and_its_default() -> None:
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| `(.*?)` \|", PAGE, re.MULTILINE))
    defaults = to_builtins(Configuration())
    assert {name: json.loads(default) for name, default in told.items()} == defaults
