"""The live page's file: small, whole or not at all, its data inert; and it runs in a browser."""

import base64
import json
import re

import numpy as np
import pytest
import torch

from helpers.corpora.toy import RUNNING
from helpers.lessons.wirings import WiredTransformer
from helpers.pictures import live_page as module
from helpers.pictures.live_page import export, live_page
from helpers.special_ids import SPECIAL_TOKENS
from helpers.tokenizer import Tokenizer
from helpers.transformer import Transformer
from tests.pictures.support import (
    corpus,
    encoded,
    random_model,
    words_for,
    written,
)
from tools import live

EVIL = ["</script><script>document.title='caught'</script>", "<!--<script>", "/*APP*/", "/*DATA*/"]
EVIL += ["<img src=x onerror=alert(1)>", "\\1 \\g<0>", "&lt;", "__proto__", "\u2028", '"', "\\"]


def data_of(html: str) -> dict:
    return json.loads(re.search(r'<script [^>]*id="data">(.*?)</script>', html, re.S)[1])


def with_words(words):
    """A tiny model and its tokenizer; its words are these."""
    model = random_model(vocab_size=len(words) + len(SPECIAL_TOKENS))
    return model, Tokenizer(words)


@pytest.mark.slow
def test_the_projects_page_is_small_self_contained_and_has_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "PATH", tmp_path / "live.html")
    live.main()
    html = (tmp_path / "live.html").read_text(encoding="utf8")
    assert (tmp_path / "live.html").stat().st_size < 1_500_000
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//|@import|url\(\s*[\"']?http", html)
    data = data_of(html)
    german = {data["words"][i] for i in data["source_words"]}
    assert "gefunden" in german and "found" not in german
    assert {w for p in [*corpus().test, *corpus().validation] for w in p.source} <= german
    assert all(set(sentence["source"]) <= german for sentence in data["sentences"])


@pytest.mark.parametrize("half", [True, False])
def test_the_weights_in_the_file_are_the_models(half):
    model = random_model(norm_first=True)
    tensors = export(model, words_for(model), half)["tensors"]
    assert tensors.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        t = tensors[name]
        raw = np.frombuffer(base64.b64decode(t["data"]), "<i2" if half else "<f4")
        numbers = raw.astype("f8").reshape(t["shape"]) * t.get("scale", 1.0)
        wanted = parameter.detach().numpy()
        close = np.abs(wanted).max() / 65_000 if half else 0
        np.testing.assert_allclose(numbers, wanted, rtol=0, atol=close)


def test_a_model_of_zeros_or_of_other_precision_can_be_written():
    model = random_model()
    with torch.no_grad():
        model.encoder.layers[0].feed_forward.w_1.bias.zero_()
    plain = export(model, words_for(model))
    assert plain["tensors"]["encoder.layers.0.feed_forward.w_1.bias"]["scale"] == 1.0
    assert export(model.double(), words_for(model)) == plain
    assert export(model.train(), words_for(model)) == plain and model.training


def test_words_and_sentences_stay_data(tmp_path):
    model, tokenizer = with_words(EVIL)
    shown = {"source": EVIL, "shows": "</script>", "target": ["<b>"]}
    live_page(model, tokenizer, tmp_path / "a.html", sentences=[shown])
    html = (tmp_path / "a.html").read_text(encoding="utf8")
    assert data_of(html)["words"] == [*SPECIAL_TOKENS, *EVIL]
    assert data_of(html)["sentences"] == [shown]
    data = re.search(r'id="data">(.*?)</script>', html, re.S)[1]
    assert "<" not in data
    harmless, words = with_words([f"w{i}" for i in range(len(EVIL))])
    live_page(harmless, words, tmp_path / "b.html")
    other = (tmp_path / "b.html").read_text(encoding="utf8")
    strip = lambda text: re.sub(r'id="data">.*?</script>', "", text, flags=re.S)
    assert strip(html) == strip(other)


def test_arguments_that_cannot_be_shown_are_errors_that_name_them(tmp_path):
    model = random_model()
    words, path = words_for(model), tmp_path / "page.html"
    wired = WiredTransformer(random_model(num_decoder_layers=2).config, "mean")
    other = random_model()
    other.decoder.layers[0].feed_forward.activation = torch.sigmoid
    moved = random_model()
    moved.source_embedding.positions = moved.source_embedding.positions * 2
    for arguments, keywords, error, named in (
        (("model", words, path), {}, TypeError, "model must be a Transformer"),
        ((wired, words, path), {}, TypeError, "WiredTransformer"),
        ((other, words, path), {}, ValueError, "ReLU"),
        ((moved, words, path), {}, ValueError, "positions"),
        ((model, ["a"], path), {}, TypeError, "tokenizer"),
        ((model, Tokenizer(["a"]), path), {}, ValueError, "tokenizer"),
        ((model, words, 3), {}, TypeError, "path"),
        ((model, words, tmp_path / "no" / "page.html"), {}, FileNotFoundError, "path"),
        ((model, words, path), {"half": 1}, TypeError, "half"),
        ((model, words, path), {"source_words": "w1"}, TypeError, "source_words"),
        ((model, words, path), {"source_words": ["no"]}, ValueError, "source_words"),
        ((model, words, path), {"order": [["w1"]]}, TypeError, "order"),
        ((model, words, path), {"order": [{"words": "w1", "then": []}]}, TypeError, "order"),
        ((model, words, path), {"order": [{"words": ["no"], "then": []}]}, ValueError, "order"),
        ((model, words, path), {"order": [{"words": ["w1"], "then": [1]}]}, ValueError, "order"),
        ((model, words, path), {"sentences": ["w1 w2"]}, TypeError, "sentences"),
        ((model, words, path), {"sentences": [{"source": "w1"}]}, TypeError, "sentences"),
        ((model, words, path), {"sentences": [{"source": ["no"]}]}, ValueError, "sentences"),
        (
            (model, words, path),
            {"sentences": [{"source": ["w1"], "x": {1}}]},
            TypeError,
            "sentences",
        ),
    ):
        with pytest.raises(error, match=named):
            live_page(*arguments, **keywords)
    with torch.no_grad():
        model.output.weight[3, 2] = torch.nan
    with pytest.raises(ValueError, match="finite"):
        live_page(model, words, path)
    assert not path.exists() and list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    model, path = random_model(), tmp_path / "page.html"
    path.write_text("old", encoding="utf8")
    monkeypatch.setattr(module, "page", lambda data: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        live_page(model, words_for(model), path)
    assert path.read_text(encoding="utf8") == "old"


@pytest.mark.slow
def test_the_page_translates_in_a_browser_as_torch_does(alone, translator, tmp_path):
    model, tokenizer = translator
    live_page(model, tokenizer, tmp_path / "live.html", sentences=[{"source": RUNNING.source}])
    page = alone((tmp_path / "live.html").read_text(encoding="utf8"), 1280, 900)
    sources = encoded(tokenizer, [RUNNING, *corpus().test[:200]])
    ours = page.evaluate(
        """(sources) => {
          const data = JSON.parse(document.getElementById("data").textContent);
          const model = LiveModel.loadModel(data);
          return sources.map((ids) => LiveModel.translate(model, ids).ids);
        }""",
        sources,
    )
    assert ours == written(model, sources)


@pytest.mark.slow
def test_hostile_words_do_nothing_in_a_browser(alone, tmp_path):
    model, tokenizer = with_words([*EVIL, "."])
    assert isinstance(model, Transformer)
    live_page(model, tokenizer, tmp_path / "live.html", sentences=[{"source": EVIL}])
    page = alone((tmp_path / "live.html").read_text(encoding="utf8"), 1280, 900)
    assert page.title() != "caught"
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    found = page.evaluate("JSON.parse(document.getElementById('data').textContent).words")
    assert found == [*SPECIAL_TOKENS, *EVIL, "."]
