"""Make what a student wrote and displayed harmless before a browser shows it to anybody.

formgrader and the feedback turn Markdown into HTML without looking at it, and a script in it acts
with the rights of whoever reads it. So text is turned into HTML here, and only the tags and
attributes that are listed below are kept. Turning it into HTML first also catches what becomes a
script only in that step.
"""

import re

import bleach
from bleach.css_sanitizer import CSSSanitizer
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from tools.grading.examiner import of_nbgrader

WORDS = """a abbr b blockquote br code dd del div dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd li ol p
pre s small span strong sub sup table tbody td th thead tr u ul"""
TAGS = set(WORDS.split())
PICTURES = ("image/png", "image/jpeg", "image/gif")
PICTURE = re.compile(r"https://[^\s\"'<>]+|data:image/(png|jpeg|gif);base64,[A-Za-z0-9+/=\s]*")
COLOUR = re.compile(r"highlight|[a-z]{1,2}\d?")  # what Pygments calls the parts of code
TEX = re.compile(r"\\(href|style|class|cssId|require|unicode|html\w*)\b", re.I)  # act in MathJax


def allowed(tag: str, name: str, value: str) -> bool:
    if name == "src":
        return tag == "img" and PICTURE.fullmatch(value) is not None
    if name == "class":
        return COLOUR.fullmatch(value) is not None
    return (
        name in ("title", "alt", "style")
        or (tag, name) in [("a", "href"), ("ol", "start")]
        or (tag in ("td", "th") and name in ("colspan", "rowspan"))
    )


def clean(html: str) -> str:
    """HTML without anything that acts, in one line: Markdown leaves such a block as it is."""
    css = CSSSanitizer(allowed_css_properties=["text-align"])
    protocols = ["http", "https", "mailto", "data"]  # data: in pictures alone, see `allowed`
    html = re.sub(r"(?is)<style\b.*?</style>", "", html)  # pandas' tables bring one
    html = bleach.clean(html, TAGS, allowed, protocols, css_sanitizer=css)
    html = re.sub(r'href="\s*data:[^"]*"', "", html, flags=re.I)
    html = TEX.sub(r"\\text", html)
    inside = re.split(r"(<pre.*?</pre>)", html, flags=re.S)
    for place, part in enumerate(inside):
        inside[place] = part.replace("\n", "&#10;" if part.startswith("<pre") else " ")
    return f"<div>{''.join(inside)}</div>"


def rendered(text: str, attachments: dict) -> str:
    pictures = {
        name: {kind: data for kind, data in files.items() if kind in PICTURES}
        for name, files in attachments.items()
        if isinstance(files, dict)
    }
    renderer = IPythonRenderer(escape=False, attachments=pictures, exclude_anchor_links=True)
    try:
        return clean(MarkdownWithMath(renderer=renderer).render(text))
    except Exception:  # an odd text or picture: show it as it was written
        return clean(f"<pre>{bleach.clean(text, tags=[])}</pre>")


def shown(data: dict) -> dict:
    """What a cell displayed: pictures and text, but nothing that a browser would run."""
    kept = {kind: data[kind] for kind in (*PICTURES, "text/plain") if kind in data}
    if "text/latex" in data:
        kept["text/latex"] = TEX.sub(r"\\text", together(data["text/latex"]))
    if "text/markdown" in data:
        kept["text/html"] = rendered(together(data["text/markdown"]), {})
    if "text/html" in data:
        kept["text/html"] = clean(together(data["text/html"]))
    return kept


def together(text) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


def harmless(notebook: NotebookNode) -> NotebookNode:
    """Change a graded notebook so that it can be shown. It can be done twice without harm."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata = NotebookNode(kernelspec=kernel, language_info={"name": "python"})
    for cell in notebook.cells:
        about, attached = of_nbgrader(cell), cell.pop("attachments", {})
        cell.metadata = NotebookNode(nbgrader=about) if about else NotebookNode()
        if cell.cell_type != "code":
            cell.source = rendered(cell.source, attached)
            continue
        for output in cell.outputs:
            if "data" in output:
                output.data = NotebookNode(shown(output.data))
                output.metadata = NotebookNode()
        cell.outputs = [output for output in cell.outputs if output.get("data", True)]
    return notebook
