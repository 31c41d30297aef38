"""The pages do what they say: their Python runs, and what they name is there.

A page's blocks run in order in one namespace, in a folder of their own. Where a printing line ends
in a comment, what it prints must begin with that comment.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from experiments.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGES = ("mmg_env", "baselines", "experiments")
FOLDERS = (*PACKAGES, "configs", "docs", "tests")

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    (.+)$", re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)")
PROMISE = re.compile(r"^print\(.*\)  # (.+)$", re.MULTILINE)
COMMAND = re.compile(r"\bmmg (?=[a-z])(.*)")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[str]:
    """Return the Python blocks of a page, each padded so that errors name the page's lines."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        if match[1] == "python":
            found.append("\n" * text[: match.start(2)].count("\n") + match[2])
    return found


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def snippets(page: Path) -> list[str]:
    """Return what a page sets as code, Python apart: inline, indented, and shell blocks."""
    text = page.read_text(encoding="utf-8")
    shell = [line for m in FENCE.finditer(text) if m[1] != "python" for line in m[2].splitlines()]
    return INLINE.findall(prose(page)) + INDENTED.findall(prose(page)) + shell


def named_paths(page: Path) -> Iterator[str]:
    """Yield every path below a folder of the project that a page names, wildcards included."""
    for snippet in snippets(page):
        for word in re.split(r"[\s,()]+", snippet):
            if word.split("/")[0] in FOLDERS and "/" in word and "=" not in word:
                yield word.rstrip(".:;/").replace("NAME", "*")


def named_commands(page: Path) -> Iterator[list[str]]:
    """Yield the words after `mmg` of every command that a page names."""
    for snippet in snippets(page):
        found = COMMAND.match(snippet.strip().removeprefix("$ "))
        if found:
            line = re.split(r"\s+[>#|]|\s{2,}", found[1])[0]
            yield shlex.split(line.replace("[", "").replace("]", ""))


def unknown_words(words: list[str]) -> list[str]:
    """Return the subcommand or options that the command line does not have."""
    command = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        if not rest:
            return []
        name = rest.pop(0)
        choices = [command.commands.get(part) for part in name.split("|")]
        if None in choices:
            return [name]
        command = choices[0]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return [w for w in rest if w.startswith("--") and w.split("=")[0] not in known]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=relative)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "page"}
    for block in blocks(page):
        capsys.readouterr()
        exec(compile(block, relative(page), "exec"), namespace)
        printed = iter(capsys.readouterr().out.splitlines())
        for promise in PROMISE.findall(block):
            assert any(line.startswith(promise) for line in printed), promise


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_path_that_a_page_names_exists(page):
    missing = [name for name in named_paths(page) if not list(ROOT.glob(name))]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_module_that_a_page_names_exists(page):
    modules = [relative(path) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    named = {word for word in INLINE.findall(prose(page)) if re.fullmatch(r"[\w/]+\.py", word)}
    assert not [n for n in named if not any(f"/{m}".endswith(f"/{n}") for m in modules)]


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_link_of_a_page_leads_somewhere(page):
    targets = [link for link in LINK.findall(prose(page)) if not link.startswith("http")]
    assert not [link for link in targets if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_command_that_a_page_names_exists(page):
    faults = {" ".join(words): unknown_words(words) for words in named_commands(page)}
    assert not {command: found for command, found in faults.items() if found}


def test_the_readme_names_every_command():
    group = typer.main.get_command(app)
    named = {" ".join(words[:2]) for words in named_commands(ROOT / "README.md")}
    for name, command in group.commands.items():
        for sub in getattr(command, "commands", {"": None}):
            wanted = f"{name} {sub}".strip()
            assert any(words.startswith(wanted) for words in named), wanted


def test_the_architecture_names_every_module():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    names = [path.name for path in modules if path.name != "__init__.py"]
    assert not [name for name in sorted(set(names)) if not re.search(rf"\b{name}\b", page)]


def test_make_targets_that_the_readme_names_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = re.findall(r"\bmake ([a-z]+)", " ".join(snippets(ROOT / "README.md")))
    assert named
    assert set(named) <= targets


def test_a_command_that_does_not_exist_is_seen():
    assert unknown_words(["bank"]) == ["bank"]
    assert unknown_words(["bench", "--suit", "x"]) == ["--suit"]
    assert unknown_words(["config", "shaw", "x"]) == ["shaw"]
    assert not unknown_words(["bench", "--suite", "x"])
