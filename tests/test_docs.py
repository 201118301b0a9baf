"""The code of the README, of the pages and of the docstrings runs, and links between files lead somewhere."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from short_fits import shorten

import innverse

sybil = pytest.importorskip("sybil")
from sybil.parsers.myst import PythonCodeBlockParser  # noqa: E402

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot as plt  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
# What a build leaves under docs/ is made of files that are tested themselves.
PAGES = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
]
FENCE = re.compile(r"^```python\n", re.MULTILINE)
# Targets of links in Markdown; those with a scheme lead out of the repository, and Sphinx checks them.
LINK = re.compile(r"\]\(([^)\s]+)\)")
# Files of the repository that a page names as the source of a formula or a table.
SOURCE = re.compile(r"`((?:src|python|tests|benchmarks)/[\w/]+\.(?:rs|py))`")
WITH_CODE = [path for path in PAGES if FENCE.search(path.read_text())]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(innverse.__path__, "innverse.")
    if "_core" not in module.name
)


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.fixture
def short_fits(monkeypatch):
    shorten(monkeypatch.setattr)


def run(path, folder, monkeypatch):
    """Run the blocks of a page one after the other, as a reader would, in a folder of their own."""
    monkeypatch.chdir(folder)
    document = sybil.Sybil([PythonCodeBlockParser()]).parse(path)
    examples = list(document.examples())
    assert len(examples) == len(FENCE.findall(path.read_text()))
    try:
        for example in examples:
            example.evaluate()
    finally:
        plt.close("all")


def test_the_readme_and_pages_have_code():
    assert {"README.md", "docs/index.md"} <= {name_of(path) for path in WITH_CODE}


@pytest.mark.parametrize("path", WITH_CODE, ids=name_of)
def test_blocks_run(path, tmp_path, monkeypatch, short_fits):
    run(path, tmp_path, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("path", WITH_CODE, ids=name_of)
def test_blocks_run_in_full(path, tmp_path, monkeypatch):
    run(path, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_between_files_lead_somewhere(path):
    targets = [target for target in LINK.findall(path.read_text()) if "://" not in target]
    files = [target.partition("#")[0] for target in targets if not target.startswith("#")]
    missing = [file for file in files if not (path.parent / file).exists()]
    assert not missing


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_files_that_a_page_cites_exist(path):
    missing = [file for file in SOURCE.findall(path.read_text()) if not (ROOT / file).exists()]
    assert not missing


def test_the_mathematics_cite_their_sources():
    for path in (ROOT / "docs" / "mathematics").glob("[a-z]*.md"):
        assert path.stem == "index" or len(SOURCE.findall(path.read_text())) > 3
