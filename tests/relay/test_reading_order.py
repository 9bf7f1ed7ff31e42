"""relay/__init__.py gives an order of reading: it contains every module, and no module imports a later one."""

import ast
import re
from pathlib import Path

import relay

FOLDER = Path(str(relay.__file__)).parent
ROOMS = re.findall(r"^    (relay/(?:\w+/)?): +((?:\w+,\s+)*\w+)$", str(relay.__doc__), re.M)
ORDER = [room.replace("/", ".") + name for room, names in ROOMS for name in re.split(r",\s+", names)]
DJANGO = {"relay.admin", "relay.apps", "relay.checks"}


def find_imports(module: str) -> set[str]:
    """Return the modules of the order that `module` imports."""
    path = FOLDER.parent / f"{module.replace('.', '/')}.py"
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    found = {str(node.module) for node in nodes}
    found |= {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
    return found & {*ORDER}


def test_the_reading_order_names_every_module_once() -> None:
    paths = [path for room, _ in ROOMS for path in (FOLDER.parent / room).glob("*.py") if path.stem != "__init__"]
    modules = {".".join(path.relative_to(FOLDER.parent).with_suffix("").parts) for path in paths}
    assert len(ROOMS) > 3
    assert sorted(ORDER) == sorted(modules - DJANGO)


def test_no_module_imports_a_later_one() -> None:
    needed_too_early = {
        name: later for place, name in enumerate(ORDER) if (later := find_imports(name) - {*ORDER[:place]})
    }
    assert needed_too_early == {}
