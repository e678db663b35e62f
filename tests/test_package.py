"""What is installed: every package of the tree, the command line inside of fusionfer, and nothing else on top."""

import configparser
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import fusionfer

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def setup_cfg():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def test_every_package_is_listed(setup_cfg):
    """setup.cfg lists packages by name, so a new folder must be added there, or it is missing from the wheel."""
    folders = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "fusionfer").rglob("__init__.py")}
    listed = set(setup_cfg["options"]["packages"].split())
    assert listed == {folder.replace("/", ".") for folder in folders} | {"fusionfer.cli"}
    assert "fusionfer.cli = cli" in setup_cfg["options"]["package_dir"]


def test_no_folder_of_modules_is_forgotten():
    """Every folder that holds modules is a package."""
    folders = {path.parent for room in ("fusionfer", "cli") for path in (ROOT / room).rglob("*.py")}
    assert [folder.name for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_pinned_versions_satisfy_what_is_required(setup_cfg):
    """Every requirement of setup.cfg has its pin in constraints.txt."""
    from packaging.requirements import Requirement

    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, separator, version = line.partition("#")[0].split(";")[0].partition("==")
        if separator:
            pins[name.strip().lower().replace("_", "-")] = version.strip()
    required = setup_cfg["options"]["install_requires"].split("\n")
    for line in filter(None, map(str.strip, required)):
        requirement = Requirement(line)
        assert pins.get(requirement.name.lower()), f"{requirement.name} has no pin"
        assert requirement.specifier.contains(pins[requirement.name.lower()].partition("+")[0]), line


def test_the_build_needs_setuptools_alone():
    """Nothing else is asked of the machine that builds."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    assert build["build-backend"] == "setuptools.build_meta"
    assert [requirement.split(">")[0] for requirement in build["requires"]] == ["setuptools"]


@pytest.mark.slow
def test_the_wheel(setup_cfg, tmp_path):
    """It holds fusionfer/cli and no top-level cli, the marker of types, the license, and the command."""
    import shutil

    tree = tmp_path / "tree"  # so that no build folder is left in the repository
    tree.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for name in ("fusionfer", "cli"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path / "out"), "."]
    try:
        import setuptools
    except ImportError:
        pass
    else:
        if int(setuptools.__version__.split(".")[0]) >= 77:
            command.insert(-1, "--no-build-isolation")
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "out").glob("fusionfer-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    info = f"fusionfer-{fusionfer.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"fusionfer", info}
    expected = {f"fusionfer/{path.relative_to(ROOT / 'fusionfer').as_posix()}"
                for path in (ROOT / "fusionfer").rglob("*.py")}  # fmt: skip
    expected |= {f"fusionfer/cli/{path.name}" for path in (ROOT / "cli").glob("*.py")}
    assert expected <= set(names)
    assert "fusionfer/py.typed" in names
    assert any(name.endswith("LICENSE") for name in names)
    assert "fusionfer = fusionfer.cli:main" in entry
