"""CONTRIBUTING.md, done to the letter: in a copy of the checkout, make the files it shows, run the commands it gives.

Code blocks name what they are for: ```python file=PATH``` is a new file, ```diff file=PATH``` an edit of an existing
one, ```sh``` commands to run, of which those that start with pytest or tracegraph are run here.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
COMMANDS = {"pytest": ["-m", "pytest"], "tracegraph": ["-m", "tracegraph"]}


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the file it is about, its text."""

    language: str
    file: str
    text: str


def sections() -> dict[str, list[Block]]:
    """The blocks of each chapter that shows files to make."""
    chapters = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    found = {chapter.splitlines()[0]: blocks(chapter) for chapter in chapters}
    return {title: listed for title, listed in found.items() if any(block.file for block in listed)}


def blocks(text: str) -> list[Block]:
    fences = re.findall(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [Block(*fence) for fence in fences]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the sources in the layout they install as."""
    for name in ("tracegraph", "passes", "codegen", "tests", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("passes", "codegen"):
        (tmp_path / "tracegraph" / name).symlink_to(tmp_path / name)
    return tmp_path


def check(block: Block, checkout: Path) -> None:
    """Make the file, or run the commands, that the block shows; what it says must be so."""
    path = checkout / block.file
    if block.language == "diff":
        lines = block.text.splitlines()
        old, new = ("\n".join(line[1:] for line in lines if line[:1] != skip) for skip in "+-")
        assert path.read_text().count(old) == 1, f"{block.file} does not hold\n{old}"
        path.write_text(path.read_text().replace(old, new))
    elif block.file:
        assert not path.exists(), f"{block.file} exists already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
    elif block.language == "sh":
        for line in block.text.splitlines():
            check_command(line, checkout)


def check_command(line: str, checkout: Path) -> None:
    typed, _, output = line.partition(" > ")
    program, *arguments = shlex.split(typed, comments=True)
    command = [sys.executable, *COMMANDS[program], *arguments]
    # the copy's own bytecode serves the commands that follow
    environment = os.environ | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"$ {line}\n{done.stdout}\n{done.stderr}"
    assert "no tests ran" not in done.stdout
    if output:
        (checkout / output).write_text(done.stdout)


@pytest.mark.parametrize("title", sections())
def test_chapter(title: str, checkout: Path) -> None:
    for block in sections()[title]:
        check(block, checkout)


@pytest.mark.parametrize("title", sections())
def test_chapter_fits_a_page(title: str) -> None:
    (chapter,) = (c for c in re.split(r"^## ", PAGE, flags=re.MULTILINE) if c.startswith(title))
    assert sum(bool(line) and not line.startswith("```") for line in chapter.splitlines()) <= 72
