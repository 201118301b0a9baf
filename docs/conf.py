"""How Sphinx builds the site; see https://www.sphinx-doc.org/en/master/usage/configuration.html."""

import importlib
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from sphinx.util import logging

import innverse

HERE = Path(__file__).resolve().parent
NOTEBOOKS = HERE.parent / "notebooks"

project = "innverse"
copyright = "the innverse developers"
version = release = innverse.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
html_theme = "pydata_sphinx_theme"
html_title = f"innverse {release}"
# The notebooks are copied beside the pages: the repository's own are the source.
html_copy_source = False
html_theme_options = {"show_prev_next": True, "secondary_sidebar_items": ["page-toc"]}

# A name in backticks becomes a link where it is one of ours.
default_role = "autolink"
# Every reference must lead somewhere.
nitpicky = True

# A module's page shows what the module exports, wherever it was defined.
autosummary_ignore_module_all = False
autosummary_imported_members = True
# Types stand in the docstrings, with shapes and units.
autodoc_typehints = "none"
numpydoc_show_class_members = False

myst_enable_extensions = ["amsmath", "dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
# Notebooks are stored without outputs. "off" shows them so, in seconds; "cache" runs those that changed, up
# to minutes each, and shows their pictures: `make docs`.
nb_execution_mode = os.environ.get("INNVERSE_DOCS_NOTEBOOKS", "off")
nb_execution_timeout = 600
nb_execution_in_temp = True
nb_execution_raise_on_error = True

# Publishers answer robots with an error, wherever a DOI leads.
linkcheck_ignore = [r"https://doi\.org/"]
linkcheck_timeout = 20
linkcheck_retries = 2

LIBRARIES = {
    "matplotlib": "https://matplotlib.org/stable/",
    "numpy": "https://numpy.org/doc/stable/",
    "python": "https://docs.python.org/3/",
    "sklearn": "https://scikit-learn.org/stable/",
}
# Seconds to wait for a library's list of names.
PATIENCE = 5


def reachable(url):
    """Tell whether a library's list of names can be had: without a network the site lacks links to it."""
    try:
        with urllib.request.urlopen(f"{url}objects.inv", timeout=PATIENCE):
            return True
    except (urllib.error.URLError, OSError):
        return False


found = {name: url for name, url in LIBRARIES.items() if reachable(url)}
intersphinx_mapping = {name: (url, None) for name, url in found.items()}
intersphinx_timeout = PATIENCE
# Backticks alone also name arguments and attributes; and what an absent list would have resolved is no error.
nitpick_ignore_regex = [("py:obj", r"\w+")]
nitpick_ignore_regex += [("py:.*", rf"{name}\..*") for name in LIBRARIES if name not in found]


def copy_notebooks():
    """Put the notebooks where Sphinx looks for pages, and remove those that are gone."""
    folder = HERE / "notebooks"
    folder.mkdir(exist_ok=True)
    wanted = {path.name: path for path in NOTEBOOKS.glob("*.ipynb")}
    for old in folder.glob("*.ipynb"):
        if old.name not in wanted:
            old.unlink()
    for name, path in wanted.items():
        copy = folder / name
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            shutil.copyfile(path, copy)


def warn_of_undocumented(app, environment):
    """Warn of every public name that has no entry on the site."""
    documented = environment.get_domain("py").objects
    modules = [innverse.__name__, *(f"innverse.{name}" for name in innverse.__all__)]
    for name in modules:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue  # a class or a function
        for public in module.__all__:
            if f"{name}.{public}" not in documented:
                logging.getLogger(__name__).warning("%s.%s is public and not documented", name, public)


def setup(app):
    """Connect the checks."""
    app.connect("env-check-consistency", warn_of_undocumented)


copy_notebooks()
