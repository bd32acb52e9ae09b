"""How Sphinx builds the web book; `python -m tools.book` prepares the sources and calls it.

Nothing is executed and nothing is fetched: the pages show the outputs that the notebooks store,
and MathJax, fonts and search lie beside them.
"""

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.address import branch, repository  # noqa: E402
from tools.book import alternative_texts  # noqa: E402
from tools.glossary import entry_of_each_form  # noqa: E402
from tools.notebooks import read  # noqa: E402

project = "Understanding Transformers"
author = "The Understanding Transformers authors"
project_copyright = "2026, the authors. Code: MIT; text and figures: CC BY 4.0"
html_title = project
language = "en"
smartquotes_action = "qe"  # quotes and dots, but no dash: --out stays --out

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx-mathjax-offline"]
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # by default this would bring scripts from a CDN
myst_enable_extensions = ["dollarmath"]

html_theme = "sphinx_book_theme"
templates_path = [str(ROOT / "docs" / "_templates")]
html_static_path = [str(ROOT / "docs" / "_static")]
html_css_files = ["book.css"]
html_favicon = str(ROOT / "docs" / "_static" / "icon.svg")
html_use_index = False  # the search and the pages of the API do its work
html_domain_indices = False
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system has it
html_theme_options = {
    "repository_url": repository(),
    "repository_branch": branch(),
    "path_to_docs": "",  # a page's name is the notebook's path in the repository
    "use_repository_button": True,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "launch_buttons": {
        "notebook_interface": "jupyterlab",
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
    },
    "home_page_in_toc": True,
    "show_toc_level": 2,
}

add_module_names = False
autodoc_member_order = "bysource"
# matplotlib writes a `set` for every kind of figure, in markup of its own.
autodoc_default_options = {"members": True, "undoc-members": True, "exclude-members": "set"}
autodoc_inherit_docstrings = False  # those of torch are not ours
autodoc_typehints_format = "short"
# Types of torch, matplotlib and Python are described elsewhere, where an offline book cannot link.
nitpick_ignore_regex = [("py:.*", r"(?!helpers\.).*")]
# Type variables have no entry of their own.
nitpick_ignore_regex += [("py:class", r"helpers\..*\.(Read|Written|Value|Given|Drawn|Item)")]

# ---- The first use of a term on a page leads to the glossary ------------------------------------

# These look like terms and mean something else.
NOT_A_TERM = (
    "arrow keys?",
    "key of the",
    "truth values?",
    "two values",
    "lowest value",
    "less memory",
    "into memory",
    "in memory",
    "scores? (?:the|its|nothing)",
    "only scores",
    "(?<=BLEU )scores?",
    "final score",
)
NO_LINKS_IN = (
    nodes.title,
    nodes.reference,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.image,
    pending_xref,
)


def term_pattern() -> tuple[re.Pattern, dict[str, str]]:
    """What finds any term, the longest first, and {form in small letters: its entry}."""
    entry_of = entry_of_each_form()
    longest_first = map(re.escape, sorted(entry_of, key=len, reverse=True))
    alternatives = f"(?P<other>{'|'.join(NOT_A_TERM)})|{'|'.join(longest_first)}"
    # Neither part of a longer word nor of one with a hyphen: "key" is not in "key-value".
    return re.compile(rf"(?<![\w-])(?:{alternatives})(?![\w-])", re.I), entry_of


PATTERN, ENTRY_OF = term_pattern()


def link_first_uses(app, doctree) -> None:
    """Turn the first use of each term in a notebook's text into a link to the glossary."""
    docname = app.env.current_document.docname
    if not docname.startswith("notebooks/"):
        return
    seen: set[str] = set()
    for text in list(doctree.findall(nodes.Text)):
        if any(isinstance(parent, NO_LINKS_IN) for parent in parents(text)):
            continue
        parts, end = [], 0
        for found in PATTERN.finditer(text):
            entry = ENTRY_OF.get(found[0].lower())
            if found["other"] or entry in seen:
                continue
            seen.add(entry)
            parts += [nodes.Text(text[end : found.start()]), term_link(found[0], entry, docname)]
            end = found.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(text[end:])])


def parents(node: nodes.Node):
    while node.parent is not None:
        node = node.parent
        yield node


def term_link(text: str, entry: str, docname: str) -> pending_xref:
    link = pending_xref(
        refdomain="std", reftype="term", reftarget=entry, refdoc=docname, refwarn=True
    )
    link += nodes.inline("", text, classes=["term"])
    return link


# ---- Pictures -----------------------------------------------------------------------------------


def describe_pictures(app, doctree) -> None:
    """Give each picture the alternative text that its output stores; myst-nb leaves it behind."""
    docname = app.env.current_document.docname
    if not docname.startswith("notebooks/"):
        return
    texts = alternative_texts(read(Path(app.env.doc2path(docname))))
    for picture, text in zip(doctree.findall(nodes.image), texts, strict=True):
        picture["alt"] = text


# ---- The list of pages at the left --------------------------------------------------------------


def name_the_folds(app, pagename, templatename, context, doctree) -> None:
    """Say what each little arrow in the list of pages unfolds, for readers who only hear it."""
    theirs = context["generate_toctree_html"]

    def with_names(*args, **kwargs):
        tree = theirs(*args, **kwargs)
        for arrow in tree.select("summary"):
            parent = arrow.find_parent("li").find("a").get_text(strip=True)
            arrow["aria-label"] = f"Pages under {parent}"
        return tree

    context["generate_toctree_html"] = with_names


# ---- Docstrings are plain text ------------------------------------------------------------------


def plain_text(app, what, name, obj, options, lines: list[str]) -> None:
    """Make reStructuredText of a docstring: what is plain stays plain, `code` becomes code."""
    if not (getattr(obj, "__module__", None) or "helpers").startswith("helpers"):
        return  # what a file of ours imports passes here too, before it is left out
    written, before = [], ""
    for line in lines:
        indented = line.startswith("  ")
        if indented and not before.startswith("  ") and not before.startswith("- "):
            written += ["", ".. code-block:: text", ""]  # an indented block stands as it is
        elif before.startswith("  ") and not indented:
            written.append("")
        elif re.match(r"(Returns|Raises|Source:)", line):
            written.append("")  # these begin a paragraph of their own
        written.append(line if indented else escaped(line))
        before = line if line else ""
    lines[:] = [*written, ""]


def escaped(line: str) -> str:
    """A line in which only `code` is markup."""
    parts = line.split("`")
    if len(parts) % 2 == 0:
        raise ValueError(f"a docstring of the helpers has a single backtick: {line!r}")
    bullet = "- " if line.startswith("- ") else ""
    parts[0] = parts[0].removeprefix(bullet)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([\\*|_])", r"\\\1", parts[i])
    # "\ " between: reStructuredText wants a boundary where code touches a letter.
    return bullet + "".join(p if i % 2 == 0 else rf"\ ``{p}``\ " for i, p in enumerate(parts))


def only_what_does_something(app, what, name, obj, skip, options) -> bool | None:
    """Leave out names that are only values, so that functions, classes and methods remain."""
    return True if not callable(obj) and not isinstance(obj, property) else None


def setup(app) -> None:
    app.connect("doctree-read", link_first_uses)
    app.connect("doctree-read", describe_pictures)
    # After the theme, which puts its own function into the context at the usual priority, 500.
    app.connect("html-page-context", name_the_folds, priority=600)
    app.connect("autodoc-process-docstring", plain_text)
    app.connect("autodoc-skip-member", only_what_does_something)
