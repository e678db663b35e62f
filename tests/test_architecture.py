"""The rules of docs/design.md, executed: levels, heavy dependencies in their rooms, lengths, names, light imports."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DESIGN = (ROOT / "docs" / "design.md").read_text()

#: Heavy dependency -> the rooms that may import it (design.md, "Heavy dependencies").
HEAVY = {
    "torch": {"networks", "extraction", "training"},
    "torchvision": {"networks", "training"},
    "lightning": {"training"},
    "timm": {"networks"},
    "openvino": {"networks"},
    "onnx": {"networks", "export"},
    "onnxruntime": {"networks", "export"},
    "skl2onnx": {"export"},
    "h5py": {"cache"},
    "click": {"cli"},
    "rich": {"cli"},
    "matplotlib": {"report"},
    "jinja2": {"report"},
    "skops": {"persistence"},
    "xgboost": {"heads"},
    "distributed": {"cluster"},
    "dask": {"cluster"},
    "cv2": {"images", "backbones", "faces", "live"},
}

#: Single files that may import a heavy dependency outside its rooms: a second backend, loaded by name only.
PLUGGED_IN = {"heads/linear/_backends.py": {"torch"}}


def sources():
    """Return (room, path) of every module."""
    library = ROOT / "fusionfer"
    found = [(path.relative_to(library).parts[0].removesuffix(".py"), path) for path in sorted(library.rglob("*.py"))]
    return found + [("cli", path) for path in sorted((ROOT / "cli").rglob("*.py"))]


def levels():
    """Read the table of levels from design.md: room -> level."""
    table = DESIGN.split("| level | rooms |")[1].split("\n\n")[0]
    found = {}
    for level, rooms in re.findall(r"^\| (\d+) \| (.+) \|$", table, flags=re.MULTILINE):
        for room in rooms.split(","):
            found[room.strip().strip("`")] = int(level)
    return found


def imports(path):
    """Yield the dotted name of everything a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
            if node.module == "fusionfer":
                yield from (f"fusionfer.{alias.name}" for alias in node.names)


def test_every_room_has_a_level():
    """A new room joins by being listed in design.md."""
    rooms = {room for room, _ in sources()} - {"__init__"}
    assert rooms - set(levels()) == set()
    assert set(levels()) - rooms == set()


@pytest.mark.parametrize(
    ("room", "path"), sources(), ids=lambda value: value.stem if isinstance(value, Path) else value
)
def test_rooms_import_lower_levels_only(room, path):
    """No import goes up or sideways, so that there can be no cycle between rooms."""
    if room == "__init__":
        assert not [name for name in imports(path) if name.startswith("fusionfer")]
        return
    level = levels()
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "fusionfer" or len(parts) == 1 or parts[1] in {room, "__version__"}:
            continue
        assert level[parts[1]] < level[room], f"{path.name} ({room}) imports {name}"


@pytest.mark.parametrize(
    ("room", "path"), sources(), ids=lambda value: value.stem if isinstance(value, Path) else value
)
def test_heavy_dependencies_stay_in_their_rooms(room, path):
    """One heavy dependency, one room."""
    for name in imports(path):
        top = name.partition(".")[0]
        plugged_in = next((deps for file, deps in PLUGGED_IN.items() if path.as_posix().endswith(file)), set())
        assert top not in HEAVY or room in HEAVY[top] or top in plugged_in, f"{path.name} ({room}) imports {top}"


@pytest.mark.parametrize(
    ("room", "path"), sources(), ids=lambda value: value.stem if isinstance(value, Path) else value
)
def test_files_are_short_and_named_by_their_idea(room, path):
    """No file over 500 lines, none called utils, helpers, common or misc, and each begins with a docstring."""
    assert len(path.read_text().splitlines()) <= 500
    assert path.stem.strip("_") not in {"utils", "helpers", "common", "misc"}
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize(
    "command",
    ["import fusionfer", "from fusionfer.cli import cli; cli.main(['--help'], standalone_mode=False)"],
)
def test_importing_and_help_load_nothing_heavy(command):
    """import fusionfer and fusionfer --help load neither torch nor anything else that takes long."""
    code = (
        f"import sys; {command}; print(sorted(set({sorted({*HEAVY, 'sklearn', 'scipy', 'numpy'})}) & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    allowed = ["click"] if "cli" in command else []
    assert result.stdout.splitlines()[-1] == str(allowed)
