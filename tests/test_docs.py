"""Commands, options, files and classes that the documentation names exist."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from tests.places import ROOT
from wavelight.commands import COMMANDS

PAGES = [
    *(ROOT / name for name in ("README.md", "Makefile")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "experiments").rglob("*.yaml")),
]
PROSE = [page for page in PAGES if page.suffix == ".md"]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def function(path: Path, name: str) -> ast.FunctionDef:
    return next(
        node
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef) and node.name == name
    )


def callbacks() -> set[str]:
    """Return the names by which the command line knows callbacks."""
    for node in tree(ROOT / "wavelight" / "training" / "cli.py").body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "CALLBACKS":
            return {ast.literal_eval(key) for key in node.value.keys}
    raise AssertionError("the command line has no CALLBACKS")


@cache
def options(command: str) -> set[str]:
    """Return the options of a command, of nested ones the first word."""
    entry = COMMANDS[command]
    if entry.function:
        arguments = function(
            ROOT.joinpath(*entry.module.split(".")).with_suffix(".py"), entry.function
        ).args
        own = {"help"}
    else:
        arguments = function(ROOT / "wavelight" / "training" / "trainer.py", command).args
        own = {"help", "config", "print_config", "seed_everything", "trainer", "model", "data"}
        own |= callbacks()
    return own | {each.arg for each in (*arguments.args, *arguments.kwonlyargs)}


def first_word(option: str) -> str:
    return re.split(r"[.=+]", option.removeprefix("--"))[0].replace("-", "_")


def commands(page: Path) -> list[list[str]]:
    """Return the words behind ``wavelight`` wherever a page shows a command."""
    text = re.sub(r"\\\n#?", " ", page.read_text())
    shown = re.findall(r"(?:python -m |`)wavelight +([a-z_\d]+(?: [^`\n]*|(?=[`\n])))", text)
    return [shlex.split(words.replace("…", ""), comments=True) for words in shown]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_their_options_exist(page):
    for name, *words in commands(page):
        assert name in COMMANDS
        used = {first_word(word) for word in words if word.startswith("--")}
        assert used <= options(name), f"wavelight {name} of {page.name}"


@cache
def vocabulary() -> set[str]:
    """Return all words of the code and of the values in YAML."""
    code = [path for name in ("wavelight", "data_modules") for path in (ROOT / name).rglob("*.py")]
    texts = [path.read_text() for path in code]
    recipes = (ROOT / "experiments").rglob("*.yaml")
    texts += [re.sub(r"#.*", "", path.read_text()) for path in recipes]
    return set(re.findall(r"\w+", " ".join(texts)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nested_options_are_words_of_the_code(page):
    # Lightning knows the trainer's own.
    named = re.findall(r"--((?!trainer)\w+(?:\.\w+)+)", page.read_text())
    assert [name for name in named if not set(name.split(".")) <= vocabulary()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_experiments_exist(page):
    named = re.findall(r"\bexperiments/[\w/]+(?:\.(?:yaml|sbatch|sh))?", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.stem)
def test_options_in_the_text_exist(page):
    known = set().union(*map(options, COMMANDS))
    named = re.findall(r"`--([a-z][\w.-]*)", page.read_text())
    assert {first_word(name) for name in named} <= known


@pytest.mark.parametrize("page", [*PROSE, ROOT / "CHANGELOG.md"], ids=lambda page: page.stem)
def test_files_and_links_exist(page):
    text = page.read_text()
    files = re.findall(r"`((?:wavelight|data_modules|experiments|docs|tests)/[\w/.]*)`", text)
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    found = [ROOT / name for name in files] + [page.parent / name for name in links]
    assert [str(path) for path in found if not path.exists()] == []
    assert not re.search(r"\.\./shared|\bspecs/", text)


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.stem)
def test_dotted_names_exist(page):
    names = re.findall(r"`((?:wavelight|data_modules)(?:\.\w+)+)(?:\(.*?\))?`", page.read_text())
    assert [name for name in names if not has(ROOT, name.split("."))] == []


def has(folder: Path, parts: list[str]) -> bool:
    """Tell whether a module defines or imports a name, or is there itself."""
    head, *rest = parts
    module = folder / head / "__init__.py"
    if not module.exists():
        module = folder / f"{head}.py"
    if not module.exists():
        return False
    if not rest or has(folder / head, rest):
        return True
    return re.search(rf"\b{rest[0]}\b", module.read_text()) is not None


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.stem)
def test_imports_in_examples_exist(page):
    imports = re.findall(r"^from (\S+) import (.+)$", page.read_text(), re.MULTILINE)
    names = [f"{module}.{name}" for module, listed in imports for name in listed.split(", ")]
    ours = [name for name in names if name.startswith(("wavelight.", "data_modules."))]
    assert [name for name in ours if not has(ROOT, name.split("."))] == []
