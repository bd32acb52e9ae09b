"""The live page's model.js computes what torch computes, and text.js is in test_live_text.py.

model.js runs in node; without node these tests are skipped. What torch computes is taken down
here by hooks on the Python model's own modules, in one pass over the whole target without a cache,
so that the page's step by step decoding with a cache is compared with something else than itself.
"""

import json
import math
import re
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.attention import MultiHeadAttention, attention, fused_attention
from helpers.corpora.toy import RUNNING
from helpers.decoding import greedy
from helpers.lessons.wirings import WiredTransformer
from helpers.masks import decoder_mask
from helpers.pictures.live_page import export
from helpers.special_ids import BOS, EOS, PAD
from helpers.transformer import Transformer
from tests.pictures.support import (
    corpus,
    encoded,
    random_model,
    words_for,
    written,
)

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("live_model.js")
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no node here to run model.js")


# ---- What model.js says ----


def ask(folder: Path, data: dict, **jobs) -> dict:
    """The answer of live_model.js."""
    text = json.dumps({"data": data, **jobs})
    run = subprocess.run([NODE, SCRIPT, folder], input=text, capture_output=True, encoding="utf8")
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout)


def traces(folder: Path, answer: dict):
    """For each sentence {name: all its numbers}."""
    numbers, at = np.fromfile(folder / "numbers.f32", dtype="<f4"), 0
    for names in answer["index"]:
        found = {}
        for name, count in names:
            found[name] = numbers[at : at + count]
            at += count
        yield found
    assert at == len(numbers)


# ---- What torch says ----


def torch_numbers(
    model: Transformer, source_ids: list[int], ids: list[int], surgery: dict | None = None
) -> dict[str, np.ndarray]:
    """Every number of one pass of the model, named and laid out as live_model.js does."""
    found: dict[str, Tensor] = {}
    with ExitStack() as hooks, torch.no_grad():
        for cut in (surgery or {}).get("silence", []):
            hooks.enter_context(silenced(model, **cut))
        for name in ("source", "target"):
            note_embedding(hooks, getattr(model, f"{name}_embedding"), name, found)
        for stack in ("encoder", "decoder"):
            for i, layer in enumerate(getattr(model, stack).layers):
                note_layer(hooks, layer, f"{stack}.{i}", found)
        logits = operated(model, torch.tensor([source_ids]), reading(ids), surgery or {}, found)
    found["logits"] = logits
    allowed = logits.index_fill(-1, torch.tensor([PAD, BOS]), -math.inf)
    found["probabilities"] = allowed.softmax(-1)
    return {name: flat(name, x) for name, x in found.items()}


def reading(ids: list[int]) -> Tensor:
    return torch.tensor([[BOS, *ids[:-1]]])


def flat(name: str, x: Tensor) -> np.ndarray:
    x = x.detach()[0] if x.dim() > 2 else x.detach()
    if re.match(r"decoder\.\d+\.self_attention\.\d+\.(scores|scaled|weights)", name):
        x = x[torch.ones(x.shape).tril() > 0]  # a step has only seen what is written
    return x.reshape(-1).float().numpy()


def listen(hooks: ExitStack, module, note) -> None:
    """note(inputs, output) at each call."""
    handle = module.register_forward_hook(lambda _, inputs, output: note(inputs, output))
    hooks.callback(handle.remove)


def note_embedding(hooks, embedding, name, found):
    def note(inputs, output):
        found[f"{name}.token"] = embedding.token(inputs[0]) * embedding.token.embedding_dim**0.5
        found[f"{name}.position"] = embedding.positions[: inputs[0].size(1)]
        found[f"{name}.output"] = output

    listen(hooks, embedding, note)


def note_layer(hooks, layer, name, found):
    parts = {
        "self_attention": (layer.self_attention, layer.add_norm_self),
        "feed_forward": (layer.feed_forward, layer.add_norm_ff),
    }
    if hasattr(layer, "cross_attention"):
        parts["cross_attention"] = (layer.cross_attention, layer.add_norm_cross)
    for part, (sublayer, add_norm) in parts.items():
        note_part(hooks, f"{name}.{part}", sublayer, add_norm, found)
    listen(hooks, layer, lambda _, output: found.update({f"{name}.output": output}))


def note_part(hooks, name, sublayer, add_norm, found):
    def note_sum(inputs, output):
        x, result = inputs
        found.update({f"{name}.x": x, f"{name}.found": result, f"{name}.sum": x + result})
        found[f"{name}.output"] = output

    listen(hooks, sublayer, lambda inputs, _: found.update({f"{name}.h": inputs[0]}))
    listen(hooks, add_norm, note_sum)
    if not isinstance(sublayer, MultiHeadAttention):
        note_hidden = lambda inputs, _: found.update({f"{name}.hidden": inputs[0]})
        listen(hooks, sublayer.w_2, note_hidden)
        return
    listen(hooks, sublayer.w_o, lambda inputs, _: found.update({f"{name}.merged": inputs[0]}))
    before = sublayer.attention
    explicit = attention if before is fused_attention else before

    def attend(query, key, value, mask=None):
        output, weights = explicit(query, key, value, mask)
        scores = query @ key.transpose(-2, -1)
        scaled = scores / math.sqrt(query.size(-1))
        for h in range(query.size(1)):
            noted = dict(query=query, key=key, value=value, scores=scores, scaled=scaled)
            noted |= dict(weights=weights, output=output)
            found.update({f"{name}.{h}.{what}": x[:, h] for what, x in noted.items()})
        return output, weights

    sublayer.attention = attend
    hooks.callback(setattr, sublayer, "attention", before)


# ---- The same surgery in torch ----


def operated(model, source_ids, target_ids, surgery, found) -> Tensor:
    """Logits (1, target, vocab_size) after the surgery, done with masks, hooks and wirings."""
    with ExitStack() as undo:
        for side in surgery.get("withoutPositions", []):
            embedding = getattr(model, f"{side}_embedding")
            undo.callback(setattr, embedding, "positions", embedding.positions)
            embedding.positions = torch.zeros_like(embedding.positions)
        cut = surgery.get("cutCross", [])
        for i in range(len(model.decoder.layers)) if cut == "all" else cut:
            layer = model.decoder.layers[i].cross_attention
            handle = layer.register_forward_hook(lambda _m, _i, output: output * 0, prepend=True)
            undo.callback(handle.remove)

        source_ids = rearranged(source_ids, surgery)
        everything = torch.ones(1, 1, 1, source_ids.size(1), dtype=torch.bool)
        visible = everything.clone()
        visible[..., surgery.get("hide", [])] = False
        encoder_mask = everything if surgery.get("hideFrom") == "decoder" else visible
        found["memory"] = model.encoder(model.source_embedding(source_ids), encoder_mask)
        outputs = {i: found[f"encoder.{i}.output"] for i in range(len(model.encoder.layers))}
        memories, mask = [found["memory"]] * len(model.decoder.layers), visible
        if "memoryOf" in surgery:
            kept = dict(found)
            memory, mask = model.encode(torch.tensor([surgery["memoryOf"]]))
            memories = [memory] * len(memories)
            outputs = {i: found[f"encoder.{i}.output"] for i in range(len(memories))}
            found.update(kept)  # the sentence on show is still the one that was typed
        if surgery.get("layerByLayer"):
            memories = [model.encoder.norm(outputs[i]) for i in range(len(memories))]
        if "blur" in surgery:
            b = surgery["blur"]
            mean = lambda m: m[:, mask[0, 0, 0]].mean(1, keepdim=True)
            memories = [(1 - b) * m + b * mean(m) for m in memories]
        if surgery.get("average"):
            memories = [m[:, mask[0, 0, 0]].mean(1, keepdim=True) for m in memories]
            mask = mask[..., :1] | True
        found.update({f"memories.{i}": m for i, m in enumerate(memories)})
        y, target_mask = model.target_embedding(target_ids), decoder_mask(target_ids)
        for layer, memory in zip(model.decoder.layers, memories, strict=True):
            y = layer(y, memory, target_mask, mask)
        found["hidden"] = model.decoder.norm(y)
        return model.output(found["hidden"])


@contextmanager
def silenced(model, where, layer, head):
    stack = model.encoder if where == "encoder" else model.decoder
    part = stack.layers[layer]
    part = part.cross_attention if where == "cross" else part.self_attention
    before = part.attention
    explicit = attention if before is fused_attention else before

    def silencing(query, key, value, mask=None):
        output, weights = explicit(query, key, value, mask)
        return output.index_fill(1, torch.tensor([head]), 0.0), weights

    part.attention = silencing
    yield
    part.attention = before


def rearranged(source_ids: Tensor, surgery: dict) -> Tensor:
    ids = source_ids[0].tolist()
    words = ids[:-1]
    if "move" in surgery:
        words.insert(surgery["move"]["to"], words.pop(surgery["move"]["from"]))
    if surgery.get("reverse"):
        words = words[::-1]
    return torch.tensor([[*words, ids[-1]]])


# ---- Models ----


def random_sources(model, count, longest=9) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    draw = lambda high, n: torch.randint(4, high, (n,), generator=generator).tolist()
    return [[*draw(model.config.vocab_size, 1 + i % longest), EOS] for i in range(count)]


def deviations(folder, model, data, sentences) -> dict[tuple, tuple[float, float]]:
    """{(surgery, name): (largest deviation from torch, largest size)} over all sentences."""
    answer = ask(folder, data, sentences=sentences, trace=True)
    assert answer["errors"] == [None] * len(sentences)
    worst: dict[tuple, tuple[float, float]] = {}
    for sentence, ids, ours in zip(
        sentences, answer["translations"], traces(folder, answer), strict=True
    ):
        surgery = sentence.get("surgery", {})
        theirs = torch_numbers(model, sentence["source"], ids, surgery)
        assert ours.keys() == theirs.keys()
        for name, wanted in theirs.items():
            key = (json.dumps(surgery), name)
            assert ours[name].shape == wanted.shape and np.isfinite(ours[name]).all(), key
            now = (float(np.abs(ours[name] - wanted).max()), float(np.abs(wanted).max()))
            worst[key] = tuple(map(max, worst.get(key, now), now))
    return worst


def assert_close(worst: dict[tuple, tuple[float, float]], relative: float) -> None:
    """Relative to the largest number of its kind, but to 1 where all are smaller: so weights and
    probabilities are held to `relative` itself."""
    far = {n: w for n, w in worst.items() if w[0] > relative * max(1.0, w[1])}
    assert not far, far


# ---- The committed translator ----


@needs_node
@pytest.mark.slow
@pytest.mark.parametrize("half, relative", [(False, 1e-5), (True, 1e-3)])
def test_every_number_of_60_sentences_is_torchs(translator, tmp_path, half, relative):
    """With two bytes a weight in the page, against torch with the original float32 weights."""
    model, tokenizer = translator
    pairs = [RUNNING, *corpus().test[:40], *corpus().combinations[:19]]
    sources = encoded(tokenizer, pairs)
    data = export(model, tokenizer, half)
    worst = deviations(tmp_path, model, data, [{"source": ids} for ids in sources])
    ratio = {name: off / max(1.0, size) for (_, name), (off, size) in worst.items()}
    print(f"largest of {len(ratio)}: {max(ratio.items(), key=lambda item: item[1])}")
    assert_close(worst, relative)


@needs_node
@pytest.mark.slow
def test_two_bytes_a_weight_translate_the_whole_test_split_token_for_token(translator, tmp_path):
    model, tokenizer = translator
    assert len(corpus().test) == 1000
    sources = encoded(tokenizer, corpus().test)
    answer = ask(tmp_path, export(model, tokenizer), sentences=[{"source": ids} for ids in sources])
    assert answer["translations"] == written(model, sources)


# ---- Any other model ----


@needs_node
@pytest.mark.parametrize(
    "settings",
    [
        dict(norm_first=True),
        dict(norm_first=False),
        dict(norm_first=False, tied_embeddings=False),
        dict(norm_first=True, tied_embeddings=False, num_encoder_layers=3, num_decoder_layers=1),
        dict(d_model=6, num_heads=1, d_ff=5, vocab_size=9),
        dict(d_model=14, num_heads=7, num_encoder_layers=1, num_decoder_layers=2),
    ],
    ids=str,
)
def test_models_of_any_shape_compute_what_torch_computes(tmp_path, settings):
    model = random_model(**settings)
    data = export(model, words_for(model), half=False)
    sentences = [{"source": ids} for ids in random_sources(model, 12)]
    assert_close(deviations(tmp_path, model, data, sentences), 1e-5)


@needs_node
def test_greedy_ends_or_is_cut_as_in_python(tmp_path):
    model = random_model(seed=3, max_length=16)
    sources = random_sources(model, 20)
    data = export(model, words_for(model), half=False)
    cut = [{"source": ids, "options": {"maxLength": 5}} for ids in sources]
    answer = ask(tmp_path, data, sentences=[*({"source": ids} for ids in sources), *cut])
    ours = answer["translations"]
    by_hand = lambda ids, most: greedy(model, torch.tensor([ids]), most)[0].tolist()
    assert ours == [by_hand(ids, None) for ids in sources] + [by_hand(ids, 5) for ids in sources]


@needs_node
def test_a_prefix_is_written_as_it_is_and_the_rest_follows(translator, tmp_path):
    model, tokenizer = translator
    (source,) = encoded(tokenizer, [RUNNING])
    prefix = tokenizer.encode(["the", "cat"])
    jobs = [{"source": source, "options": {"prefix": prefix}}, {"source": source}]
    (forced, free) = ask(tmp_path, export(model, tokenizer), sentences=jobs)["translations"]
    assert tokenizer.decode(free) == list(RUNNING.target) and forced[:2] == prefix
    logits = model(torch.tensor([source]), reading(forced))[0]
    logits[:, [PAD, BOS]] = -torch.inf
    assert forced[2:] == logits.argmax(-1).tolist()[2:]


@needs_node
def test_sampling_draws_from_the_models_distribution(tmp_path):
    model = random_model(vocab_size=8, d_model=8, num_heads=2, seed=5)
    source, temperature = [4, 5, EOS], 0.7
    jobs = [
        {"source": source, "options": {"temperature": temperature, "seed": s, "maxLength": 1}}
        for s in range(4000)
    ]
    data = export(model, words_for(model), half=False)
    drawn = [ids[0] for ids in ask(tmp_path, data, sentences=jobs)["translations"]]
    logits = model(torch.tensor([source]), torch.tensor([[BOS]]))[0, 0]
    logits[[PAD, BOS]] = -torch.inf
    wanted = (logits / temperature).softmax(-1)
    counts = torch.bincount(torch.tensor(drawn), minlength=8)
    sigma = (4000 * wanted * (1 - wanted)).sqrt()
    assert ((counts - 4000 * wanted).abs() <= 4 * sigma).all(), (counts, 4000 * wanted)


# ---- Surgery ----

OTHER = [7, 9, 4, 11, EOS]
SURGERIES = [
    {"silence": [{"where": "encoder", "layer": 1, "head": 2}]},
    {"silence": [{"where": "decoder", "layer": 0, "head": 0}]},
    {"silence": [{"where": "cross", "layer": 1, "head": 1}]},
    {"silence": [{"where": "cross", "layer": i, "head": i} for i in (0, 1)]},
    {"cutCross": [1]},
    {"cutCross": "all"},
    {"memoryOf": OTHER},
    {"layerByLayer": True},
    {"blur": 0.3},
    {"blur": 1},
    {"average": True},
    {"hide": [0]},
    {"hide": [0, 2]},
    {"hide": [1], "hideFrom": "decoder"},
    {"hide": [1], "average": True},
    {"move": {"from": 0, "to": 2}},
    {"move": {"from": 2, "to": 0}},
    {"reverse": True},
    {"withoutPositions": ["source"]},
    {"withoutPositions": ["target"]},
    {"withoutPositions": ["source", "target"], "blur": 0.5, "cutCross": [0]},
    {"reverse": True, "move": {"from": 1, "to": 0}, "hide": [1]},
    {"memoryOf": OTHER, "hide": [0], "blur": 0.2},
    {"memoryOf": OTHER, "withoutPositions": ["source"], "layerByLayer": True},
    {"memoryOf": OTHER, "silence": [{"where": "encoder", "layer": 0, "head": 1}]},
    {"hide": [1], "blur": 0.5},
    {"hide": [0], "average": True},
]


@needs_node
@pytest.mark.slow
@pytest.mark.parametrize("norm_first", [False, True])
def test_every_surgery_gives_torchs_numbers(tmp_path, norm_first):
    model = random_model(norm_first=norm_first, num_decoder_layers=2)
    sources = random_sources(model, 5)[2:]  # of 4, 5 and 6 ids: long enough for every surgery
    data = export(model, words_for(model), half=False)
    sentences = [{"source": ids, "surgery": s} for s in [{}, *SURGERIES] for ids in sources]
    worst = deviations(tmp_path, model, data, sentences)
    assert len({surgery for surgery, _ in worst}) == 1 + len(SURGERIES)
    assert_close(worst, 1e-5)


@needs_node
@pytest.mark.parametrize(
    "wiring, surgery", [("layer by layer", {"layerByLayer": True}), ("mean", {"average": True})]
)
def test_rewired_models_are_those_of_notebook_11(translator, tmp_path, wiring, surgery):
    model, tokenizer = translator
    wired = WiredTransformer(model.config, wiring).eval()
    wired.load_state_dict(model.state_dict())
    sources = encoded(tokenizer, corpus().test[:10])
    sentences = [{"source": ids, "surgery": surgery} for ids in sources]
    answer = ask(tmp_path, export(model, tokenizer, half=False), sentences=sentences)
    assert answer["translations"] == written(wired, sources)


@needs_node
def test_surgery_changes_what_it_should_and_no_more(translator, tmp_path):
    """No surgery, in whatever words, is the plain model; cut everywhere, the source is unheard."""
    model, tokenizer = translator
    a, b = encoded(tokenizer, [RUNNING, corpus().test[0]])
    nothing = {"silence": [], "cutCross": [], "blur": 0, "hide": [], "average": False}
    runs = [(a, {}), (a, nothing), (a, {"cutCross": "all"}), (b, {"cutCross": "all"})]
    runs += [(a, {"memoryOf": b}), (b, {}), (b, {"memoryOf": a, "move": {"from": 0, "to": 1}})]
    jobs = [{"source": ids, "surgery": s} for ids, s in runs]
    out = ask(tmp_path, export(model, tokenizer), sentences=jobs)["translations"]
    assert out[0] == out[1] == out[6] and out[2] == out[3] and out[4] == out[5]
    assert len({tuple(ids) for ids in (out[0], out[2], out[5])}) == 3


@needs_node
@pytest.mark.parametrize(
    "surgery, named",
    [
        ({"silent": []}, "silent"),
        ({"silence": [{"where": "middle", "layer": 0, "head": 0}]}, "where"),
        ({"silence": [{"where": "cross", "layer": 3, "head": 0}]}, "layer"),
        ({"silence": [{"where": "cross", "layer": 0, "head": 3}]}, "head"),
        ({"cutCross": [3]}, "cutCross"),
        ({"layerByLayer": True}, "layerByLayer"),
        ({"blur": 1.5}, "blur"),
        ({"hide": [9]}, "hide"),
        ({"hideFrom": "encoder"}, "hideFrom"),
        ({"move": {"from": 0, "to": 9}}, "move"),
        ({"move": {"from": 2, "to": 0}}, "move"),  # that is <eos>, which stays last
        ({"withoutPositions": ["memory"]}, "withoutPositions"),
        ({"memoryOf": [99]}, "memoryOf"),
    ],
    ids=str,
)
def test_impossible_surgery_is_an_error_that_names_it(tmp_path, surgery, named):
    model = random_model()
    answer = ask(
        tmp_path,
        export(model, words_for(model)),
        sentences=[{"source": [5, 6, EOS], "surgery": surgery}],
    )
    assert named in answer["errors"][0]


@needs_node
def test_impossible_sources_and_options_are_errors_too(tmp_path):
    model = random_model(max_length=6)
    wrong = [([], {}), ([23], {}), ([4.5], {}), ([-1], {}), ([4] * 7, {})]
    wrong += [([4], {"maxLength": 7}), ([4], {"maxLength": 0}), ([4], {"temperature": -1})]
    wrong += [([4], {"prefix": [99]})]
    jobs = [{"source": source, "options": options} for source, options in wrong]
    errors = ask(tmp_path, export(model, words_for(model)), sentences=jobs)["errors"]
    assert all(errors), errors


# ---- Speed ----
