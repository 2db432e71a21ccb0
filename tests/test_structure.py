"""The shape of the repository: imports run one way, files stay readable, training takes its gradient in one place."""

import ast
import importlib
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
OURS = ("nets", "losses", "lanes", "experiments", "scripts")
MAY_IMPORT = {
    "nets": {"nets"},
    "losses": {"losses"},
    "lanes": {"nets", "losses", "lanes"},
    "experiments": {"nets", "losses", "lanes", "experiments"},
    "scripts": {"nets", "losses", "lanes", "experiments", "scripts"},
}
MOST_LINES = 400
FORBIDDEN_NAMES = ("utils", "common", "helpers", "base", "misc")


def files(package: str) -> list[Path]:
    return sorted((CHECKOUT / package).rglob("*.py"))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    """Top-level names of what a file imports, anywhere in it; relative imports are the file's own package."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0] if node.level == 0 else path.relative_to(CHECKOUT).parts[0])
    return names


@pytest.mark.parametrize("package", OURS)
def test_imports_run_one_way(package):
    for path in files(package):
        wrong = (imported(path) & set(OURS)) - MAY_IMPORT[package]
        assert not wrong, f"{path.relative_to(CHECKOUT)} imports {wrong}: {package} may import {MAY_IMPORT[package]}"


@pytest.mark.parametrize("package", ["nets", "losses", "lanes", "experiments"])
def test_packages_resolve_inside_the_checkout(package):
    module = importlib.import_module(package)
    assert Path(module.__file__).parent == CHECKOUT / package


def test_every_package_is_listed_for_installation():
    listed = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    installed = set(OURS) - {"scripts"}
    found = {".".join(path.parent.relative_to(CHECKOUT).parts) for name in installed for path in files(name)}
    assert set(listed) == found


@pytest.mark.parametrize("package", OURS)
def test_files_stay_readable_and_are_named_for_what_they_hold(package):
    for path in files(package):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= MOST_LINES, f"{path.relative_to(CHECKOUT)} has {lines} lines: split it"
        assert path.stem not in FORBIDDEN_NAMES
        assert not path.stem.endswith(tuple(f"_{name}" for name in FORBIDDEN_NAMES))


def test_training_takes_its_gradient_in_one_file():
    def calls(path: Path) -> bool:
        return any(isinstance(node, ast.Attribute) and node.attr == "value_and_grad" for node in ast.walk(tree(path)))

    assert [path.name for path in files("lanes") if calls(path)] == ["rules.py"]
    assert not [path.name for package in ("nets", "experiments") for path in files(package) if calls(path)]


def documented(node: ast.AST) -> bool:
    return ast.get_docstring(node) is not None  # type: ignore[arg-type]


@pytest.mark.parametrize("package", ["nets", "losses", "lanes", "experiments"])
def test_public_things_have_docstrings(package):
    missing = []
    for path in files(package):
        module = tree(path)
        if module.body and not documented(module):
            missing.append(path.name)
        for node in module.body:
            if (
                isinstance(node, (ast.FunctionDef, ast.ClassDef))
                and not node.name.startswith("_")
                and not documented(node)
            ):
                missing.append(f"{path.name}: {node.name}")
    assert not missing


def test_no_experiment_is_longer_than_a_page():
    for path in files("experiments"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 60, path.name
