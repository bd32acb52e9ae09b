"""explorer.py: what is stored is what the model computed, text stays text, and it works by hand.

The second half opens the view in headless Chromium through Playwright and is skipped where either
is missing (`make test-browser` brings Playwright along; Chromium is the system's).
"""

import base64
import json
import re
import zlib

import numpy as np
import pytest
import torch

from helpers.corpora.toy import RUNNING, splits
from helpers.pictures import explorer
from helpers.pictures.explorer import explore_attention, recorded, view
from helpers.subwords import Subwords
from helpers.tokenizer import Tokenizer
from helpers.transformer import Transformer, TransformerConfig
from tests.support import EVIL, serious, tiny_model

HEAD = "<!doctype html><html lang=en><meta charset=utf8><title>A view</title>"


@pytest.fixture(scope="module")
def running(translator):
    return recorded(*translator, RUNNING.source, RUNNING.target)


def data_of(html):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.S)[1])


def unpacked(html, kind):
    data = data_of(html)
    m = data["maps"][kind]
    raw = np.frombuffer(zlib.decompress(base64.b64decode(m["weights"])), dtype=np.uint8)
    shape = (m["layers"], m["heads"], len(m["queries"]), len(m["keys"]))
    return (raw.reshape(shape) / data["levels"]) ** 2


def random_maps(length, layers=6, heads=8):
    generator = torch.Generator().manual_seed(0)
    draw = lambda: (2 * torch.randn(heads, length, length, generator=generator)).softmax(-1)
    names = ("encoder.layers.{}.self_attention", "decoder.layers.{}.self_attention")
    names += ("decoder.layers.{}.cross_attention",)
    words = [f"Wort{i}" for i in range(length)]
    maps = {name.format(i): draw() for i in range(layers) for name in names}
    return maps, {"source": words, "target": words, "read": words}


def test_the_view_holds_the_models_own_weights(running):
    maps, labels = running
    html = view(*running)
    cross = unpacked(html, "cross")
    assert cross.shape == (2, 4, 9, 10)
    for layer in range(2):
        wanted = maps[f"decoder.layers.{layer}.cross_attention"].numpy()
        np.testing.assert_allclose(cross[layer], wanted, atol=0.005)
    assert unpacked(html, "encoder").shape == (2, 4, 10, 10)
    own = unpacked(html, "decoder")
    assert own.shape == (2, 4, 9, 9) and np.triu(own[0, 0], 1).max() == 0
    assert data_of(html)["maps"]["decoder"]["keys"][0] == "<bos>"
    assert labels["target"][-1] == labels["source"][-1] == "<eos>"


def test_stacks_of_unequal_depth_are_shown():
    model, tokenizer = tiny_model().float(), Tokenizer([f"w{i}" for i in range(4, 23)])
    maps, labels = recorded(model, tokenizer, ["w5", "w6"], ["w7"])
    data = data_of(view(maps, labels))
    assert [data["maps"][k]["layers"] for k in ("cross", "decoder", "encoder")] == [3, 3, 2]


def test_large_views_stay_small_and_small_ones_exact(running):
    assert len(view(*running)) < 20_000
    large = view(*random_maps(61))
    assert len(large.encode("utf8")) < 150_000
    kept = unpacked(large, "cross")[0, 0]
    wanted = random_maps(61)[0]["decoder.layers.0.cross_attention"][0].numpy()
    assert np.abs(kept - wanted).max() < 0.05
    strongest = np.take_along_axis(wanted, kept.argmax(-1)[:, None], -1)[:, 0]
    assert (wanted.max(-1) - strongest).max() < 0.03


def test_too_many_words_are_refused(translator):
    with pytest.raises(ValueError, match="source must have at most 60 tokens, got 61"):
        recorded(*translator, ["der"] * 61, ["the"])


def test_no_text_can_end_the_script(running):
    maps, labels = running
    evil = {k: [*EVIL, *words[len(EVIL) :]] for k, words in labels.items()}
    html = view(maps, evil)
    assert data_of(html)["maps"]["cross"]["queries"][:5] == EVIL
    for text in EVIL[:2]:
        assert text not in html


def test_nothing_is_fetched():
    html = view(*random_maps(4, 1, 1))
    assert not re.search(r"https?://|src=|@import|url\(|innerHTML|\bid=", html)


def test_it_is_a_picture_and_a_view(translator, monkeypatch):
    outputs = []
    monkeypatch.setattr(explorer, "show", lambda figure: outputs.append(figure.alt))
    monkeypatch.setattr(explorer, "display", lambda html: outputs.append(html.data))
    explore_attention(*translator, RUNNING.source, gold=RUNNING.alignment)
    assert "Attention map" in outputs[0] and "data-explorer" in outputs[1]
    assert data_of(outputs[1])["maps"]["cross"]["gold"] == [
        list(x) for x in sorted(RUNNING.alignment)
    ]
    assert data_of(outputs[1])["maps"]["cross"]["queries"] == [*RUNNING.target, "<eos>"]


def test_pieces_of_words_are_shown_too():
    german = [p.source_text for p in splits(train=50, validation=1, test=1).train]
    subwords = Subwords.learn(german, 120)
    model = Transformer(TransformerConfig(len(subwords), 16, 4, 24, 1, 1, max_length=64))
    _, labels = recorded(model, subwords, "Der Hund", "Der Ball")
    assert labels["source"] == [*subwords.pieces("Der Hund"), "<eos>"]


# ---- In a browser --------------------------------------------------------------------------


@pytest.fixture
def opened(alone):
    """opened(html) -> a page with nothing but the view, drawn."""

    def open_view(html, width=900, copies=1, style=""):
        page = alone(f"{HEAD}<body style='{style}'>{html * copies}", width, 700)
        page.wait_for_selector(".said:not(:empty)")
        return page

    return open_view


def selected(page):
    return page.locator("[role=option][aria-selected=true]").first.text_content()


def said(page):
    return page.locator(".said").first.text_content()


def test_hovering_a_word_shows_where_it_looks(opened, running):
    page = opened(view(*running, RUNNING.alignment))
    page.locator("[role=option]", has_text="dog").hover()
    assert selected(page) == "dog"
    assert "“dog”" in said(page) and "Hund" in said(page)
    (column,) = [s for t, s in RUNNING.alignment if RUNNING.target[t] == "dog"]
    gold = page.locator(".keys .word").nth(column)
    assert "gold" in gold.get_attribute("class")
    assert page.locator(".strip").count() == 5  # the mean and four heads


def test_a_click_pins_a_word(opened, running):
    page = opened(view(*running))
    page.locator("[role=option]", has_text="ball").click()
    page.locator("[role=option]", has_text="dog").hover()
    assert selected(page) == "ball"


def test_keys_move_and_escape_goes_back(opened, running):
    page = opened(view(*running))
    page.locator(".queries").focus()
    for key, word in (("ArrowRight", "little"), ("ArrowDown", "dog"), ("ArrowLeft", "little")):
        page.keyboard.press(key)
        assert selected(page) == word
    page.keyboard.press("End")
    assert selected(page) == "<eos>"
    page.keyboard.press("Escape")
    assert selected(page) == "the"
    assert page.locator(".said").get_attribute("aria-live") == "polite"


def test_selectors_change_what_is_shown(opened, running):
    page = opened(view(*running))
    page.locator("[role=option]", has_text="found").click()
    before = said(page)
    page.get_by_label("layer").select_option("0")
    assert said(page) != before
    page.get_by_role("button", name="head 3").click()
    assert page.get_by_label("head", exact=True).input_value() == "2"
    page.get_by_label("who looks at whom").select_option("encoder")
    assert page.locator("[role=option]").count() == 10
    page.get_by_label("who looks at whom").select_option("decoder")
    assert page.locator(".keys .word").first.text_content() == "<bos>"


def test_word_by_word_hides_the_future(opened, running):
    page = opened(view(*running))
    page.get_by_label("word by word").check()
    assert page.locator("[role=option]").all_text_contents() == ["the", *"·" * 8]
    page.get_by_role("button", name="one word on").click()
    assert page.locator("[role=option]").all_text_contents()[:3] == ["the", "little", "·"]


def test_evil_words_are_only_words(opened, running):
    maps, labels = running
    evil = {k: [*EVIL, *words[len(EVIL) :]] for k, words in labels.items()}
    page = opened(view(maps, evil))
    assert page.locator("[role=option]").all_text_contents()[:5] == EVIL
    assert page.locator("img").count() == 0


def test_two_views_on_one_page_do_not_disturb_each_other(opened, running):
    page = opened(view(*running), copies=2)
    page.locator("[role=option]", has_text="dog").nth(1).hover()
    assert page.locator("[aria-selected=true]").all_text_contents() == ["the", "dog"]


def test_it_fits_a_phone(opened, running):
    page = opened(view(*running), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(
    "style", ["color: #212121; background: #fff", "color: #fff; background: #111"]
)
def test_the_strongest_weight_leaves_its_word_readable(opened, style):
    """JupyterLab's own colours, light and dark; every query looks at one word and no other."""
    maps, labels = random_maps(4, 1, 2)
    page = opened(view({name: torch.eye(4).repeat(2, 1, 1) for name in maps}, labels), style=style)
    background = "e => getComputedStyle(e).backgroundColor"
    assert "214, 48, 127" in page.locator(".keys .word").first.evaluate(background)
    assert serious(page) == []


def test_a_large_view_answers_at_once(opened):
    page = opened(view(*random_maps(61)))
    milliseconds = page.evaluate(
        """() => { const list = document.querySelectorAll('[role=option]'), t = performance.now();
        for (let i = 0; i < 20; i++) list[i].dispatchEvent(new MouseEvent('mouseenter'));
        return (performance.now() - t) / 20; }"""
    )
    assert milliseconds < 250  # about ten are usual; a machine may be busy
