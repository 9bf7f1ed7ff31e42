"""relay/__init__.py says in which order to read: nothing is left out, and nothing needs what comes later."""

import ast
import re
from pathlib import Path

import relay

FOLDER = Path(str(relay.__file__)).parent
ORDER = [
    name for line in re.findall(r"^    .*: +(\w+(?:, \w+)*)$", str(relay.__doc__), re.M) for name in line.split(", ")
]


def find_imports(name: str) -> set[str]:
    """The modules at the top of relay/ that a module imports."""
    nodes = list(ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())))
    found = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    found += [
        f"relay.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "relay"
        for alias in node.names
    ]
    return {module.split(".")[1] for module in found if module.count(".") == 1 and module.startswith("relay.")} & {
        *ORDER
    }


def test_the_reading_order_names_every_module_once() -> None:
    assert sorted(ORDER) == sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def test_no_module_needs_one_that_is_read_later() -> None:
    needed_too_early = {
        name: later for place, name in enumerate(ORDER) if (later := find_imports(name) - {*ORDER[:place]})
    }
    assert needed_too_early == {}
