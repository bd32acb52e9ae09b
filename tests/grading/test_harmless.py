"""What a student writes and displays cannot act in the browser of whoever reads it."""

import re

import nbformat
import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from tools.grading.examiner import outputs_of
from tools.grading.harmless import harmless

RUN = "act()"
TEXTS = {
    "a picture that is not there": f'My answer. <img src="x" onerror="{RUN}">',
    "a script": f"<script>{RUN}</script>",
    "a drawing": f"<svg onload={RUN}><script>{RUN}</script></svg>",
    "a frame": f'<iframe srcdoc="<script>{RUN}</script>"></iframe>',
    "a link": f"[look](javascript:{RUN})",
    "a link, spelt differently": f"[look](java&#115;cript:{RUN})",
    "a link as data": f"[look](data:text/html,<script>{RUN}</script>)",
    "a link in HTML": f'<a href=" JaVaScRiPt:{RUN}">look</a>',
    "a diagram": f"```mermaid\n<img src=x onerror={RUN}>\n```",
    "a formula": rf"$\href{{javascript:{RUN}}}{{x}}$",
    "a form": f"<form action='javascript:{RUN}'><button class='full-credit'>Go</button></form>",
    "a page over the page": "<div style='position:fixed; top:0' id='too_late'>12 points</div>",
    "a style": "<style>body {display: none}</style>",
    "Markdown that comes out of HTML": f"<div>\n\n\\[look](javascript:{RUN})\n\n&lt;b&gt;</div>",
    "code with an empty line": f"```\na\n\n<img src=x onerror={RUN}>\n```",
}
ACTS = re.compile(
    r"<(script|svg|iframe|form|button|style|math|object)[ >]|<[^>]+\s(on\w+|id)=|<[^>]+position:"
    r"|<[^>]+javascript:|<[^>]+href=[\"'](data|\s*java)|\\href|<[^>]+full-credit",
    re.I,
)


def page(notebook) -> str:
    """The page as formgrader and the feedback make it, without what comes with the template."""
    exporter = HTMLExporter(template_name="classic")
    bare = exporter.from_notebook_node(new_notebook())[0]
    start = bare.index("<body")
    assert not ACTS.search(bare[bare.index('id="notebook-container"') + 30 : bare.rindex("</div>")])
    html = exporter.from_notebook_node(notebook)[0][start:]
    return re.sub(r'(?s)<body.*?<div class="container" id="notebook-container">| id="cell-[^"]*"',
                  "", html)  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("kind", [new_markdown_cell, new_raw_cell])
def test_a_text_does_not_act(name, kind):
    notebook = new_notebook(cells=[kind(TEXTS[name])])
    assert not ACTS.search(page(harmless(notebook)))
    assert not ACTS.search(page(harmless(notebook)))  # twice, as in the feedback


@pytest.mark.parametrize("name", TEXTS)
def test_what_a_cell_displays_does_not_act(name):
    kinds = ("text/html", "text/markdown", "image/svg+xml", "application/javascript", "text/latex")
    seen = [{kind: TEXTS[name]} for kind in kinds] + [{"text/html": [TEXTS[name]]}]
    outputs = [new_output("display_data", data=data) for data in seen]
    notebook = new_notebook(cells=[new_code_cell("x", outputs=outputs)])
    assert not ACTS.search(page(harmless(notebook)))


def test_metadata_does_not_act():
    bad = f'"><script>{RUN}</script>'
    cell = new_code_cell("x", metadata={"magics_language": bad, "tags": [bad]})
    picture = new_output(
        "display_data", data={"image/png": bad}, metadata={"image/png": {"width": bad}}
    )
    cell.outputs = [picture]
    attached = new_markdown_cell(
        "![x](attachment:a)", attachments={"a": {bad: "x", "image/png": bad}}
    )
    notebook = new_notebook(cells=[cell, attached], metadata={"language_info": {"name": bad}})
    assert not ACTS.search(page(harmless(notebook)))


def test_an_honest_answer_looks_as_it_was_meant():
    text = """\
**Shares** that are `a < b` and $t < s$:

| row | sum |
|:--|--:|
| 1 | 0.7 |

```python
if a < b:

    print("less")
```

![map](attachment:map.png) [book](https://example.org/a?b=1&c=2)"""
    attachments = {"map.png": {"image/png": "iVBORw0KGgo="}}
    notebook = new_notebook(cells=[new_markdown_cell(text, attachments=attachments)])
    for _ in range(2):
        shown = page(harmless(notebook))
        for part in ("<strong>Shares</strong>", "<code>a &lt; b</code>", "$t &lt; s$", "<table>",
                     "text-align:right", "data:image/png;base64,iVBORw0KGgo=", "</span>",
                     'href="https://example.org/a?b=1&amp;c=2"'):  # fmt: skip
            assert part in shown, part
    nbformat.validate(notebook)


def test_a_script_is_not_even_kept():
    data = '[{"application/javascript": "x", "image/svg+xml": "y", "text/plain": "z"}]'
    (output,) = outputs_of({"printed": ["", ""], "displayed": data, "error": None})
    assert output.data == {"text/plain": "z"}
