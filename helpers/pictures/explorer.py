"""The attention explorer: hover or arrow to a word and see where every head of a layer looks.

It is one self-contained piece of HTML that needs no library and no network. Where scripts do not
run, as on GitHub, the picture above it shows the same state. Used in notebooks 00, 09 and 14.
"""

import base64
import json
import zlib
from collections.abc import Callable, Collection, Sequence
from importlib import resources
from typing import Any

import torch
from IPython.display import HTML, display
from torch import Tensor

from helpers.attention import record_attention
from helpers.decoding import AnyTokenizer, translate
from helpers.evaluation import evaluating
from helpers.pictures.maps import attention_map
from helpers.pictures.style import show
from helpers.special_ids import BOS, EOS
from helpers.transformer import Transformer

# How finely a weight is stored, and below which size it counts as 0: coarser if there are many.
FINENESS = ((255, 0.0), (64, 0.005), (24, 0.02))
LARGEST = 130_000  # bytes of a view's data, before it is coarsened
LONGEST = 60  # words a side
Words = Sequence[str]


def explore_attention(
    model: Transformer,
    tokenizer: AnyTokenizer[Any, Any],
    source: Words | str,
    target: Words | str | None = None,
    gold: Collection[tuple[int, int]] | None = None,
) -> None:
    """Display where a model looks while it translates `source`, as a picture and as an explorer.

    The tokenizer is a Tokenizer (source and target are lists of words) or Subwords (strings).
    Without a target, the model's own greedy translation is shown. `gold` links (target index,
    source index) are underlined. The model runs in evaluation mode, without dropout.
    Raises ValueError for more than 60 words a side.
    """
    if target is None:
        (target,) = translate(model, tokenizer, [source])
        if (length := len(tokenizer.encode(target))) > LONGEST:
            raise ValueError(
                f"the model's own translation of source has {length} tokens, but at most {LONGEST} "
                "can be shown; give a target"
            )
    maps, labels = recorded(model, tokenizer, source, target)
    across = next(reversed([m for name, m in maps.items() if "cross_attention" in name]))
    # First a picture, for places where scripts do not run, then the view: two outputs, not one.
    show(
        attention_map(
            across.mean(0),
            labels["source"],
            labels["target"],
            gold,
            title="cross-attention, last decoder layer, mean of its heads",
        )
    )
    display(HTML(view(maps, labels, gold)))


def recorded(
    model: Transformer, tokenizer: AnyTokenizer[Any, Any], source: Words | str, target: Words | str
) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """({layer name: (heads, queries, keys)}, {"source", "target", "read": tokens}).

    `target` are the tokens that the decoder's queries write, `read` those it has read, BOS first.
    """
    device = next(model.parameters()).device
    source_ids = [*tokenizer.encode(source), EOS]
    target_ids = [BOS, *tokenizer.encode(target)]
    for name, ids in (("source", source_ids), ("target", target_ids)):
        if len(ids) > LONGEST + 1:
            raise ValueError(f"{name} must have at most {LONGEST} tokens, got {len(ids) - 1}")
    with evaluating(model), record_attention(model) as maps:
        model(*(torch.tensor([ids], device=device) for ids in (source_ids, target_ids)))
    pieces: Callable[[Words | str], list[str]] = getattr(tokenizer, "pieces", list)
    labels = {
        "source": [*pieces(source), "<eos>"],
        "target": [*pieces(target), "<eos>"],
        "read": ["<bos>", *pieces(target)],
    }
    return {name: m[0].float().cpu().clone() for name, m in maps.items()}, labels


def view(
    maps: dict[str, Tensor],
    labels: dict[str, list[str]],
    gold: Collection[tuple[int, int]] | None = None,
) -> str:
    """The explorer as one piece of HTML; everything in it that is text is shown as text."""
    kinds = {
        "cross": (
            "cross_attention",
            ("target", "source"),
            "cross-attention: target looks at source",
            ("words that the decoder writes", "words of the source, the memory"),
            "writes “{}” and looks at: ",
        ),
        "decoder": (
            "decoder.layers",
            ("target", "read"),
            "decoder self-attention: target looks back",
            ("words that the decoder writes", "words that it has read"),
            "writes “{}” and looks back at: ",
        ),
        "encoder": (
            "encoder.layers",
            ("source", "source"),
            "encoder self-attention: source looks at source",
            ("words of the source that look", "words of the source that are looked at"),
            "“{}” looks at: ",
        ),
    }
    weights = {
        kind: torch.stack(
            [
                m
                for name, m in maps.items()
                if wanted in name and ("cross" in name) == (kind == "cross")
            ]
        )
        for kind, (wanted, *_) in kinds.items()
    }
    for levels, least in FINENESS:
        packed = {kind: pack(w, levels, least) for kind, w in weights.items()}
        if sum(map(len, packed.values())) < LARGEST:
            break
    shown: dict[str, dict[str, object]] = {}
    data = {"levels": levels, "map": "cross", "row": 0, "maps": shown}
    for kind, (_, (asking, asked), title, heads, verb) in kinds.items():
        shown[kind] = {
            "title": title,
            "asks": heads[0],
            "asked": heads[1],
            "verb": verb,
            "layers": weights[kind].size(0),
            "heads": weights[kind].size(1),
            "queries": labels[asking],
            "keys": labels[asked],
            "weights": packed[kind],
        }
    if gold is not None:
        shown["cross"]["gold"] = sorted(gold)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # Inside <script>, only "<" could end the data; the browser's JSON.parse restores it.
    template = (resources.files("helpers") / "data" / "explorer.html").read_text(encoding="utf8")
    return template.replace("/*DATA*/", text.replace("<", "\\u003c"))


def pack(weights: Tensor, levels: int, least: float = 0.0) -> str:
    """Square roots of the weights in `levels` steps, one byte each, deflated, as base64.

    The square root gives small weights finer steps; those below `least` become 0.
    """
    shown = weights.where(weights >= least, 0.0)
    steps = (shown.clamp(0, 1).sqrt() * levels).round().to(torch.uint8)
    data = zlib.compress(steps.contiguous().numpy().tobytes(), 9)
    return base64.b64encode(data).decode("ascii")
