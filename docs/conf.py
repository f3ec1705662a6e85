"""How Sphinx builds the documentation: pages in Markdown, code executed, nothing fetched from a network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]

from pyrovae import __version__  # noqa: E402

project = "pyrovae"
copyright = "the pyrovae authors, Apache-2.0"
release = version = __version__

extensions = [
    *["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_click"],
    *["mathml", "rows", "configuration_keys", "public_names", "outputs"],
]
exclude_patterns = ["images/*"]

# Markdown. Headings to the third level are targets of links, as they are on GitHub.
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence", "attrs_inline"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

# Cells are executed where nothing is kept of them; a cell that fails fails the build.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE.parent / "build" / "jupyter-cache")
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # they would come from a network

# The reference, from docstrings.
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_inherit_docstrings = False  # torch's and Pyro's methods have their own documentation
autodoc_default_options = {"members": True}
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
html_math_renderer = "mathml"

# Every reference must lead somewhere, but for those to other libraries, whose inventories would have to be downloaded.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(torch|pyro|numpy|np|xarray|matplotlib|click|collections|pathlib|nn|dist|os|tqdm|PIL)(\..*)?"),
    ("py:.*", r"Tensor|Module|rows"),  # written without their package, or names that share a line
]

html_theme = "pydata_sphinx_theme"
html_title = "pyrovae"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_favicon = "static/icon.svg"
html_search_scorer = str(HERE / "search_order.js")
smartquotes = False
# Pages that have none below them.
html_sidebars: dict[str, list[str]] = {page: [] for page in ("design", "new_part", "contributing")}
html_context = {"default_mode": "auto"}
html_show_sourcelink = True
html_copy_source = True
html_sourcelink_suffix = ""  # a page that is downloaded is the notebook
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

linkcheck_timeout = 20
linkcheck_anchors = False
