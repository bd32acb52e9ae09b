"""The live page's model.js computes what torch computes, and text.js reads what split_words reads.

model.js runs in node; without node these tests are skipped. What torch computes is taken down
here by hooks on the Python model's own modules, in one pass over the whole target without a cache,
so that the page's step by step decoding with a cache is compared with something else than itself.
"""

import json
import math
import re
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.attention import MultiHeadAttention, attention, fused_attention
from helpers.masks import decoder_mask
from helpers.special_ids import BOS, PAD
from helpers.transformer import Transformer

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("live_model.js")
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no node here to run model.js")


# ---- What model.js says ----


def ask(folder: Path, data: dict, **jobs) -> dict:
    """The answer of live_model.js."""
    text = json.dumps({"data": data, **jobs})
    run = subprocess.run([NODE, SCRIPT, folder], input=text, capture_output=True, text=True)
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
