"""docs/relay.md as a test: its code blocks form a project, which runs without the shop and its other packages."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from shutil import copytree, ignore_patterns
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings
from msgspec import to_builtins
from packaging.requirements import Requirement

from relay.conf import Configuration

BASE_DIR = Path(settings.BASE_DIR)
PAGE = (BASE_DIR / "docs" / "relay.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
FILES = [block for language, block in BLOCKS if language == "python" and block.startswith("# ")]
SNIPPETS = [block for language, block in BLOCKS if language == "python" and not block.startswith("# ")]

# The relevant part of what `startproject` creates.
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
# Python imports this module at its start; it makes all other packages unavailable.
BLOCKADE = """
import sys
from importlib.abc import MetaPathFinder
class Blockade(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is not installed", name=name)
sys.meta_path.insert(0, Blockade())
"""
LEND_AND_LOOK = """
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


def find_blocked_packages() -> set[str]:
    """Return every installed top-level package that the `pip install` line of the page does not install."""
    (line,) = [block for language, block in BLOCKS if language == "sh" and block.startswith("pip install")]
    wanted = [Requirement(text) for text in shlex.split(line)[2:]]
    brought: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        brought.add(requirement.name.lower().replace("_", "-"))
        for text in requires(requirement.name) or []:
            below = Requirement(text)
            extras = requirement.extras or {""}
            if below.marker is None or any(below.marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(below)
    return {
        package
        for package, distributions in packages_distributions().items()
        if not {name.lower().replace("_", "-") for name in distributions} & brought
    }


class Project:
    """The project that results from the page."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.database = database
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(folder),
            "DATABASE": database,
            "POSTGRES_PORT": str(settings.POSTGRES_PORT),
            "KAFKA": ",".join(settings.RELAY["BOOTSTRAP_SERVERS"]),
        }
        copytree(BASE_DIR / "relay", folder / "relay", ignore=ignore_patterns("__pycache__"))
        self.write("manage.py", MANAGE)
        self.write("mysite/settings.py", SETTINGS)
        self.write("mysite/urls.py", URLS)
        self.write("sitecustomize.py", BLOCKADE.format(blocked=find_blocked_packages()))
        self.write("library/migrations/__init__.py", "")
        for block in FILES:
            self.write(block.splitlines()[0].removeprefix("# "), block)

    def write(self, name: str, text: str) -> None:
        """Append `text` to a file, and create its packages."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(text)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
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


@pytest.fixture
def project(tmp_path: Path, parts: object) -> Iterator[Project]:
    name = f"lifted_{uuid4().hex}"
    with psycopg.connect(postgres("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    yield Project(tmp_path, name)
    with psycopg.connect(postgres("postgres"), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)".encode())


def test_the_project_of_the_page_works(project: Project) -> None:
    (commands,) = [block for language, block in BLOCKS if language == "sh" and "manage.py run_relay" in block]
    *steps, relay, consume = [line.split()[1:] for line in commands.splitlines()]
    for step in steps:
        project.run(*step)
    processes = [project.begin(*relay), project.begin(*consume)]
    try:
        project.run("manage.py", "shell", "-c", "\n".join([LEND_AND_LOOK, IMPORT_EVERYTHING, *SNIPPETS]))
        deadline = time.monotonic() + 60
        while project.count_loans() < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        for process in processes:
            process.terminate()
        outputs = [process.communicate(timeout=30)[0] for process in processes]
    assert project.count_loans() == 3, "\n".join(outputs)
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    assert "OK" in project.run("manage.py", "test")


def test_the_page_lists_every_setting_and_its_default() -> None:
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| `(.*?)` \|", PAGE, re.MULTILINE))
    defaults = to_builtins(Configuration())
    assert {name: json.loads(default) for name, default in documented.items()} == defaults
