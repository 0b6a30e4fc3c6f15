"""What README.md and the pages in docs/ show: commands parse, imports resolve, links and files exist."""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from text_uda.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")

on_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def test_readme_is_read_in_two_minutes() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


@on_each_page
def test_command_lines_parse(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option exists and takes the value; every required one is there. Nothing runs."""
    monkeypatch.chdir(tmp_path)
    for line in _command_lines(page):
        words = shlex.split(re.split(r"\s[<>|]\s", line)[0], comments=True)[1:]
        for word in words:
            if re.fullmatch(r"[a-z][a-z0-9/-]*", word):  # what has to exist: run directories, caches
                (tmp_path / word).mkdir(parents=True, exist_ok=True)
            elif word.endswith((".toml", "/config.json")):  # what --config reads
                file = tmp_path / word
                file.parent.mkdir(parents=True, exist_ok=True)
                options = {"data": "own.csv", "labels": 9}
                lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
                file.write_text(json.dumps(options) if file.suffix == ".json" else "\n".join(lines), "utf-8")
        command, rest = _verb(words)
        try:
            command.make_context("text-uda", rest)
        except click.ClickException as error:
            pytest.fail(f"{line}\n{error.format_message()}")


@on_each_page
def test_options_in_sentences_exist(page: Path) -> None:
    every = {option for command in _commands(main) for option in _options(command)}
    for span in re.findall(r"`([^`\n]+)`", _FENCE.sub("", page.read_text("utf-8"))):
        words = span.split()
        if words[:1] == ["text-uda"]:
            command, _ = _verb(words[1:])
            known = _options(command)
        elif words[:1] == ["train"] or re.match("--[a-z]", span):
            known = every
        else:
            continue
        unknown = {word.partition("=")[0] for word in words if word.startswith("--")} - known
        assert not unknown, span


@on_each_page
def test_python_examples_import_what_exists(page: Path) -> None:
    for code in _python(page):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom):
                assert node.module
                module = import_module(node.module)
                missing = [name.name for name in node.names if not hasattr(module, name.name)]
                assert not missing, f"{node.module} has no {', '.join(missing)}"
            elif isinstance(node, ast.Import):
                for name in node.names:
                    import_module(name.name)
        command = [sys.executable, "-m", "ruff", "check", "--isolated", "--quiet", "--select", "F", "-"]
        done = subprocess.run(command, input=code, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr  # such as a name that is not imported


def test_examples_of_new_methods_run() -> None:
    names: dict[str, Any] = {"__name__": "example"}
    for code in _python(ROOT / "docs" / "add-a-method.md"):
        exec(compile(code, "add-a-method.md", "exec", dont_inherit=True), names)
    augmented = names["Uppercase"](rate=1.0)(["a quiet film, seen in 2019"], [0])[0]
    assert augmented.text == "A QUIET FILM, SEEN IN 2019"
    assert names["EntMin"]().needs.views == ("original",)


@on_each_page
def test_links_have_targets(page: Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), link
        if anchor:
            assert anchor in _anchors(target), link


def test_each_page_is_in_the_navigation() -> None:
    configuration = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert [page.name for page in PAGES[2:] if f": {page.name}\n" not in configuration] == []


def test_the_file_tree_of_the_design_page_exists() -> None:
    tree = _FENCE.findall((ROOT / "docs" / "design.md").read_text("utf-8"))[-1][1]
    above: list[str] = []
    for line in tree.splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()  # pyright: ignore[reportOptionalMemberAccess]
        above[len(indent) // 2 :] = [name]
        assert (ROOT / "".join(above)).exists(), "".join(above)
    assert len(tree.splitlines()) > 100


def _command_lines(page: Path) -> Iterator[str]:
    """The lines of code blocks, fenced or indented, that call text-uda, continued ones joined."""
    for line in page.read_text("utf-8").replace("\\\n", " ").splitlines():
        if re.match(r"(    )?text-uda [a-z]", line):
            yield line


def _verb(words: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no verb {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def _commands(command: click.Command) -> Iterator[click.Command]:
    yield command
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from _commands(below)


def _options(command: click.Command) -> set[str]:
    return {"--help", *(option for parameter in command.params for option in parameter.opts + parameter.secondary_opts)}


def _python(page: Path) -> list[str]:
    blocks = [code for language, code in _FENCE.findall(page.read_text("utf-8")) if language == "python"]
    return ["\n".join(blocks)] if page.name == "other-loops.md" else blocks  # there, a block continues the one before


def _anchors(page: Path) -> set[str]:
    if page.name == "contributing.md":  # which includes it
        page = ROOT / "CONTRIBUTING.md"
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
