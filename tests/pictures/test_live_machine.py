"""machine.js: every part opens, shows what the model computed, and does so for every visitor."""

import json
import re
from importlib import resources

import pytest
import torch

from helpers.corpora.toy import RUNNING, vocabulary
from helpers.pictures import live_page
from helpers.tokenizer import Tokenizer
from helpers.transformer import Transformer, TransformerConfig
from tests.support import EVIL, serious

pytestmark = pytest.mark.slow
LIVE = resources.files("helpers") / "data" / "live"

HTML = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Open the machine</title>
<meta name="viewport" content="width=device-width"><style>CSS
body { background: #fff; color: #111 } @media (prefers-color-scheme: dark) {
body { background: #16191f; color: #eee } }</style>
<main><h1>A translator</h1><h2>Open the machine</h2><div id="root"></div></main>
<script type="application/json" id="data">DATA</script><script>MODEL</script>
<script>MACHINE</script><script>
const { data, source, options, words } = JSON.parse(document.getElementById("data").textContent);
const model = LiveModel.loadModel(data), ids = [...source, model.eos], heard = [];
const state = { step: 0, part: null };
let result = LiveModel.translate(model, ids, options);
function show() {
  LiveMachine.render(document.getElementById("root"), { model, result, step: state.step,
    sourceWords: words, part: state.part, links: LiveMachine.links("../"),
    onPart: (part) => { heard.push(part); state.part = part; show(); } });
}
show();
</script></html>"""


def read(name):
    return (LIVE / name).read_text(encoding="utf8")


def html(model, tokenizer, source, options=None, words=None):
    data = {
        "data": live_page.export(model, tokenizer),
        "source": source,
        "options": options or {},
        "words": words,
    }
    parts = {
        "CSS": read("machine.css"),
        "DATA": json.dumps(data).replace("<", "\\u003c"),
        "MODEL": read("model.js"),
        "MACHINE": read("machine.js"),
    }
    return re.sub(r"\b(CSS|DATA|MODEL|MACHINE)\b", lambda mark: parts[mark[1]], HTML)


@pytest.fixture(scope="module")
def running(translator):
    model, tokenizer = translator
    return html(model, tokenizer, tokenizer.encode(RUNNING.source))


def box(page, part):
    return page.locator(f'[data-part="{part}"]')


def caption(page, step):
    return page.locator(f'[data-caption="{step}"]').inner_text()


def test_the_keyboard_opens_and_closes_every_part(alone, running):
    page = alone(running, 1280, 900)
    parts = page.evaluate("LiveMachine.partIds(model)")
    shown = page.locator("[data-part]").evaluate_all("boxes => boxes.map(b => b.dataset.part)")
    assert shown == parts and len(parts) == len(set(parts)) == 36
    for part in parts:
        box(page, part).focus()
        page.keyboard.press("Enter")
        assert page.evaluate("heard.at(-1)") == part
        assert page.locator('[aria-expanded="true"]').evaluate_all(
            "boxes => boxes.map(b => b.dataset.part)"
        ) == [part]
        assert page.evaluate("document.activeElement.dataset.part") == part
        assert page.locator(".lm-steps > li").count() >= 1
        assert not re.search(r"NaN|undefined|null|Infinity", page.locator("#root").inner_text())
    page.keyboard.press("Space")
    assert page.evaluate("heard.at(-1)") is None
    assert page.locator('[aria-expanded="true"]').count() == 0
    box(page, "memory").click()
    page.get_by_role("button", name="next part").press("Enter")
    assert page.evaluate("state.part") == "decoder.embedding"
    page.get_by_role("button", name="previous part").press("Enter")
    page.get_by_role("button", name="close this part").press("Enter")
    assert page.evaluate("document.activeElement.dataset.part") == "memory"


def test_cells_hold_the_models_numbers(alone, running):
    page = alone(running, 1280, 900)
    page.evaluate("state.step = 3; state.part = 'decoder.1.cross'; show()")
    page.get_by_role("button", name="head 3").click()
    head = "result.steps[3].layers[1].crossAttention.heads[2]"
    for step, name, digits in (("scores", "scores", 1), ("softmax", "weights", 2)):
        cells = page.locator(f'[data-grid="attention.{step}-{name}"] .lm-numbers text')
        wanted = page.evaluate(f"Array.from({head}.{name}[0])")
        seen = [float(text.replace("−", "-")) for text in cells.all_text_contents()]
        assert seen == pytest.approx(wanted, abs=0.51 * 10**-digits)
    weights = page.evaluate(f"Array.from({head}.weights[0])")
    page.locator('[data-grid="attention.softmax-weights"]').focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    word, said = RUNNING.source[4], caption(page, "attention.softmax")
    assert f"looks at “{word}” with weight" in said
    if weights[4] >= 0.0005:
        assert said.endswith(f"{weights[4]:.3f}")
    # The cell comes from this word's key and value: their rows are outlined.
    lit = page.locator('[data-grid="cross.vectors-key"] .lm-lit').first
    row = page.locator('[data-grid="cross.vectors-key"] .lm-names text').nth(4)
    top, height = float(lit.get_attribute("y")), float(lit.get_attribute("height"))
    assert row.text_content() == word and top < float(row.get_attribute("y")) < top + height
    # A key's own numbers, by mouse.
    page.locator('[data-grid="cross.vectors-key"] svg').hover(position={"x": 90, "y": 70})
    said = caption(page, "cross.vectors")
    word, column, value = re.match(r"key of “(.+)”, column (\d+) of 16: (.+)$", said).groups()
    key = f"{head}.key[{RUNNING.source.index(word)}][{int(column) - 1}]"
    assert float(value.replace("−", "-")) == pytest.approx(page.evaluate(key), abs=6e-4)


def test_feed_forward_norm_add_and_output_show_the_models_numbers(alone, running):
    page = alone(running, 1280, 900)
    number = lambda text: float(re.search(r"[−\d.]+$", text)[0].replace("−", "-"))
    at = "result.steps[2].layers[0]"
    for part, step, name, wanted in (
        ("decoder.0.feed", "feed.widen", "hidden", f"{at}.feedForward.hidden[0][1]"),
        ("decoder.0.feed", "feed.narrow", "after", f"{at}.feedForward.found[0][1]"),
        ("decoder.0.self.norm", "norm", "after", f"{at}.selfAttention.h[0][1]"),
        ("decoder.0.cross.add", "add", "sum", f"{at}.crossAttention.sum[0][1]"),
        ("encoder.norm", "norm", "after", "result.encoded.memory[0][1]"),
        ("memory", "memory", "memory0", "result.encoded.memories[0][0][1]"),
        ("encoder.embedding", "embedding.sum", "embedded", "result.encoded.embedding.output[0][1]"),
        ("output", "output.logits", "hidden", "result.steps[2].hidden[1]"),
    ):
        page.evaluate("part => { state.step = 2; state.part = part; show(); }", part)
        page.locator(f'[data-grid="{step}-{name}"]').focus()
        page.keyboard.press("ArrowRight")
        said = caption(page, step).removesuffix(", off")
        assert number(said) == pytest.approx(page.evaluate(wanted), abs=6e-4), part
    rows = page.locator(".lm-table tbody tr").all_inner_texts()
    best = page.evaluate("LiveModel.topWords(result.steps[2].probabilities, 8)")
    words = page.evaluate("ids => ids.map(id => model.words[id])", best)
    assert [row.split()[0] for row in rows] == words
    top = page.evaluate("id => result.steps[2].probabilities[id]", best[0])
    assert number(rows[0].strip()) == pytest.approx(top, abs=6e-4)


def test_new_data_keep_focus_scroll_and_the_chosen_head(alone, running):
    page = alone(running, 1280, 700)
    page.evaluate("state.part = 'decoder.0.cross'; show()")
    page.get_by_role("button", name="head 2").click()
    grid = page.locator('[data-grid="attention.softmax-weights"]')
    grid.focus()
    page.keyboard.press("End")
    before = page.evaluate("[scrollY, document.activeElement.dataset.grid]")
    first = caption(page, "attention.softmax")
    page.evaluate("state.step = 4; show()")
    assert page.evaluate("[scrollY, document.activeElement.dataset.grid]") == before
    assert before[0] > 0
    assert page.get_by_role("button", name="head 2").get_attribute("aria-pressed") == "true"
    second = caption(page, "attention.softmax")
    assert second != first and "“<eos>”" in second
    times = page.evaluate(
        "[...Array(20).keys()].map(i => { const start = performance.now();"
        " state.step = i % 6; show(); return performance.now() - start; })"
    )
    assert sorted(times)[10] < 50  # a few milliseconds, and room for a busy machine


def test_surgery_is_shown(alone, translator):
    model, tokenizer = translator
    source = tokenizer.encode(RUNNING.source)
    silence = [{"where": "cross", "layer": 0, "head": 1}]
    options = {"surgery": {"hide": [4], "silence": silence, "cutCross": [1]}}
    page = alone(html(model, tokenizer, source, options), 1280, 900)
    page.evaluate("state.part = 'decoder.0.cross'; show()")
    page.get_by_role("button", name="head 2 (silenced)").click()
    masked = page.locator('[data-grid="cross.mask-masked"] .lm-numbers text').all_text_contents()
    assert [i for i, text in enumerate(masked) if text == "−∞"] == [4]
    assert "silenced" in page.locator('[data-step="attention.sum"]').inner_text()
    page.evaluate("state.part = 'decoder.1.cross.add'; show()")
    assert caption(page, "add") == "Cross-attention is cut, so nothing is added."
    page.evaluate(
        "other => { result = LiveModel.translate(model, ids, { surgery: { memoryOf: other } });"
        " state.part = 'memory'; show(); }",
        [*tokenizer.encode(["die", "Katze", "schläft", "."]), 2],
    )
    names = page.locator('[data-grid="memory-memory0"] .lm-names text').all_text_contents()
    assert names == ["die", "Katze", "schläft", ".", "<eos>"]


def test_a_post_norm_model_has_its_norm_after_the_sum(alone):
    tokenizer = Tokenizer(vocabulary()[:20])
    torch.manual_seed(0)
    config = dict(d_model=16, num_heads=2, d_ff=32, num_encoder_layers=1, num_decoder_layers=3)
    sizes = dict(vocab_size=len(tokenizer), dropout=0.0, max_length=32, tied_embeddings=True)
    model = Transformer(TransformerConfig(norm_first=False, **sizes, **config)).eval()
    page = alone(html(model, tokenizer, [5, 6, 7], words=EVIL[:3]), 1280, 900)
    parts = page.evaluate("LiveMachine.partIds(model)")
    assert not [part for part in parts if part.endswith(".norm")]
    page.evaluate("state.part = 'decoder.2.cross.add'; show()")
    assert page.locator(".lm-steps > li").count() == 2
    assert box(page, "decoder.2.cross.add").inner_text() == "add & norm"
    page.evaluate("state.part = 'encoder.0.self'; show()")
    assert EVIL[0] in page.locator(".lm-map").inner_text()  # and `alone` saw nothing run
    assert page.locator("#root img, #root script").count() == 0


@pytest.mark.parametrize("width", [360, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_everyone_can_use_it(alone, running, width, scheme):
    page = alone(running, width, 900)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for part in (None, "decoder.0.cross", "encoder.0.self", "encoder.1.feed", "output"):
        page.evaluate("part => { state.step = 3; state.part = part; show(); }", part)
        page.wait_for_timeout(50)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert small_texts(page) == [] and cut(page) == []
        assert serious(page) == []


def small_texts(page):
    """Elements with text of their own that is smaller than 12 pixels."""
    return page.evaluate(
        """[...document.querySelectorAll('#root *')].filter((e) => [...e.childNodes].some(
        (n) => n.nodeType === 3 && n.data.trim()) && parseFloat(getComputedStyle(e).fontSize) < 12)
        .map((e) => e.textContent)"""
    )


def cut(page):
    """Buttons and labels whose text needs more room than they have."""
    return page.evaluate(
        """[...document.querySelectorAll('#root button, #root p, #root figcaption, #root th')]
        .filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth)
        .map((e) => e.textContent)"""
    )


def test_each_link_leads_to_a_heading_of_a_notebook(alone, running):
    page = alone(running, 1280, 900)
    links = page.evaluate("LiveMachine.links('../')")
    root = resources.files("helpers").parent
    for step, address in links.items():
        name, slug = re.fullmatch(r"\.\./notebooks/(\w+)\.html#([a-z0-9-]+)", address).groups()
        cells = json.loads((root / "notebooks" / f"{name}.ipynb").read_text("utf8"))["cells"]
        text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        headings = re.findall(r"^##+ (.+)$", text, re.M)
        assert slug in {re.sub(r"[^a-z0-9]+", "-", h.lower()).strip("-") for h in headings}, step
    page.evaluate("state.part = 'decoder.0.cross'; show()")
    assert (
        page.locator('[data-step="attention.scale"] a').get_attribute("href")
        == links["attention.scale"]
    )
    assert page.locator(".lm-steps > li").count() == page.locator(".lm-steps a").count() == 7
