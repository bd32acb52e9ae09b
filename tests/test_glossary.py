"""The bold words of the notebooks that lead to the glossary."""

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.glossary import address_of, glossary_entries, link_terms, without_links

TEXT = """A list.

```{glossary}
key
  What a word offers.

beam
beam search
  Several beginnings at once.
```
"""


def linked(*sources):
    notebook = new_notebook(cells=[new_markdown_cell(source) for source in sources])
    changed = link_terms(notebook)
    return [cell.source for cell in notebook.cells], changed


def test_entries_are_read_with_all_their_names():
    assert glossary_entries(TEXT) == [["key"], ["beam", "beam search"]]


def test_only_the_first_bold_use_of_a_term_is_linked():
    texts, changed = linked("A query, and a **Query**: a **query**.", "**queries** and **keys**")
    query, key = address_of("query"), address_of("key")
    assert texts == [
        f"A query, and a [**Query**]({query}): a **query**.",
        f"**queries** and [**keys**]({key})",
    ]
    assert changed and query.endswith("/glossary.html#term-query")


def test_a_second_time_changes_nothing_and_a_stale_address_is_renewed():
    (text,), _ = linked("the **beam search**")
    assert linked(text) == ([text], False)
    old = text.replace("OWNER.github.io", "ada.github.io")
    assert linked(old)[0] == [text]
    assert without_links(text) == "the **beam search**"


def test_what_is_no_term_or_folded_or_code_stays_as_it_is():
    folded = "<details><summary>Solution</summary>\n\nthe **query**\n</details>"
    text = f"**1.1 · Predict.** **a** is **Time**, [**key**](x.md)\n{folded}"
    assert linked(text) == ([text], False)
    notebook = new_notebook(cells=[new_code_cell("x = 2 **key** 3")])
    assert not link_terms(notebook) and notebook.cells[0].source == "x = 2 **key** 3"
