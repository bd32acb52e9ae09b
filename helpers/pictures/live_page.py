"""The live page: a trained translator in one HTML file, running in the reader's browser.

The weights are in the file, and helpers/data/live/model.js computes with them. It needs no server,
no library and no network. `live_page(model, tokenizer, path)` also works for a model that you
trained yourself. Used by `make live` and in notebook 09.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from helpers.files import write_text
from helpers.layers import sinusoidal_positions
from helpers.special_ids import BOS, EOS, PAD, UNK
from helpers.tokenizer import Tokenizer, UnknownWords
from helpers.transformer import Transformer

PARTS = {
    "STYLE": "style.css",
    "MACHINESTYLE": "machine.css",
    "MODEL": "model.js",
    "TEXT": "text.js",
    "MACHINE": "machine.js",
    "DOM": "dom.js",
    "LOOK": "look.js",
    "OPERATE": "operate.js",
    "SHARE": "share.js",
    "CHALLENGES": "challenges.js",
    "APP": "app.js",
}


def live_page(
    model: Transformer,
    tokenizer: Tokenizer,
    path: str | Path,
    *,
    source_words: Iterable[str] | None = None,
    order: Sequence[Mapping] | None = None,
    sentences: Sequence[Mapping] = (),
    book: str | None = None,
    half: bool = True,
) -> None:
    """Write the page: one self-contained HTML file, whole or not at all.

    source_words are the words that a visitor may type, by default every word of the tokenizer. If a
    sentence has other known words, the page remarks that it is not in the source language.
    order tells which words followed which in training, as helpers.corpora.toy_order.seen_in returns
    it; with it, the page remarks when a sentence is unlike any in training.
    sentences are offered to pick from: mappings that JSON can hold, with at least `source`, a list
    of words. book is where the web book is: "" if it is beside the page, or its address, ending in
    "/". Each part of the machine then links to the notebook that builds it. half is as in `export`.
    Raises TypeError or ValueError naming the argument, and the errors of write_file.
    """
    if not isinstance(path, str | Path):
        raise TypeError(f"path must be a str or Path, got {type(path).__name__}")
    if book is not None and not isinstance(book, str):
        raise TypeError(f"book must be a str or None, got {type(book).__name__}")
    data = export(model, tokenizer, half)
    if book is not None:
        data["book"] = book
    data["source_words"] = ids_of("source_words", source_words, tokenizer)
    if order is not None:
        data["order"] = [
            checked_class(i, row, len(order), tokenizer) for i, row in enumerate(order)
        ]
    data["sentences"] = [checked_sentence(i, s, tokenizer) for i, s in enumerate(sentences)]
    write_text(Path(path), page(data))


def page(data: dict) -> str:
    """The HTML of the page with this data; everything in the data stays data."""
    folder = resources.files("helpers") / "data" / "live"
    read = lambda name: (folder / name).read_text(encoding="utf8")
    parts = {mark: read(name) for mark, name in PARTS.items()}
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Inside <script>, only "<" could end the data; the browser's JSON.parse restores it.
    parts["DATA"] = text.replace("<", "\\u003c")
    # In one pass, so that no word of the data can be taken for a part of the page.
    return re.sub(r"/\*([A-Z]+)\*/", lambda mark: parts[mark[1]], read("page.html"))


def export(model: Transformer, tokenizer: Tokenizer, half: bool = True) -> dict:
    """What model.js needs, ready for JSON: configuration, words, and the weights as base64.

    half: two bytes for each weight instead of four, as whole numbers with one scale for each
    tensor. They take as much room as half precision, but are six times closer to a trained model's
    weights: these are all of similar size and need no exponents of their own.
    Raises TypeError or ValueError if the model is not a plain Transformer, if the tokenizer does
    not belong to it, or if a weight is NaN or infinite.
    """
    if not isinstance(half, bool):
        raise TypeError(f"half must be True or False, got {half!r}")
    check_model(model)
    if not isinstance(tokenizer, Tokenizer):
        raise TypeError(f"tokenizer must be a Tokenizer, got {type(tokenizer).__name__}")
    if len(tokenizer) != model.config.vocab_size:
        raise ValueError(
            f"tokenizer must have the model's {model.config.vocab_size} words, got {len(tokenizer)}"
        )
    tensors = {name: packed(name, p, half) for name, p in model.named_parameters()}
    return {
        "config": asdict(model.config),
        "words": list(tokenizer.words),
        "special": {"pad": PAD, "bos": BOS, "eos": EOS, "unk": UNK},
        "tensors": tensors,
    }


def check_model(model: Transformer) -> None:
    """Raise TypeError or ValueError unless model.js computes what this model computes."""
    if type(model) is not Transformer:  # a subclass may compute something else
        raise TypeError(f"model must be a Transformer, got {type(model).__name__}")
    config = model.config
    positions = sinusoidal_positions(config.max_length, config.d_model)
    for side in (model.source_embedding, model.target_embedding):
        if not torch.allclose(side.positions.float().cpu(), positions.float(), atol=1e-6):
            raise ValueError("model must have the sinusoidal positions of helpers.layers")
    for layer in (*model.encoder.layers, *model.decoder.layers):
        if layer.feed_forward.activation is not torch.relu:
            raise ValueError("model must have ReLU in its feed-forward layers")
    if model.output.bias is not None:
        raise ValueError("model must have no bias in its output layer")


def packed(name: str, tensor: Tensor, half: bool) -> dict:
    """One tensor as {"kind", "shape", "data"}, and "scale" if half: little-endian, in base64."""
    numbers = tensor.detach().to("cpu", torch.float64)
    if not numbers.isfinite().all():
        raise ValueError(f"model must have finite weights, but {name} has NaN or infinity")
    fields: dict[str, object] = {"kind": "float32", "shape": list(tensor.shape)}
    if half:
        # A tensor of zeros has no largest number, and any scale will do.
        scale = numbers.abs().max().item() / 32767 or 1.0
        numbers = (numbers / scale).round()
        fields |= {"kind": "int16", "scale": scale}
    raw = numbers.contiguous().numpy().astype("<i2" if half else "<f4").tobytes()
    return {**fields, "data": base64.b64encode(raw).decode("ascii")}


def ids_of(name: str, words: Iterable[str] | None, tokenizer: Tokenizer) -> list[int]:
    """The ids of these words, in order; for None, those of all words that are not special."""
    if words is None:
        return list(range(UNK + 1, len(tokenizer)))
    return sorted(known(name, words, tokenizer))


def known(name: str, words: Iterable[str], tokenizer: Tokenizer) -> list[int]:
    """The ids of these words; raises TypeError or ValueError, naming the argument."""
    if isinstance(words, str) or not isinstance(words, Iterable):
        raise TypeError(f"{name} must be a list of words, got {words!r}")
    try:
        return tokenizer.encode(words)
    except UnknownWords as error:
        raise ValueError(f"{name} must be words of the tokenizer: {error}") from None


def checked_class(index: int, row: Mapping, classes: int, tokenizer: Tokenizer) -> dict:
    """What the page needs of one class; raises TypeError or ValueError if it cannot use it."""
    name = f"order[{index}]"
    if not isinstance(row, Mapping) or not {"words", "then"} <= row.keys():
        raise TypeError(f"{name} must be a mapping with 'words' and 'then', got {row!r}")
    known(f"{name}['words']", row["words"], tokenizer)
    then = list(row["then"])
    if not all(isinstance(i, int) and 0 <= i < classes for i in then):
        raise ValueError(f"{name}['then'] must be numbers of the {classes} classes, got {then}")
    return {"words": list(row["words"]), "then": then}


def checked_sentence(index: int, sentence: Mapping, tokenizer: Tokenizer) -> dict:
    """A copy of the sentence; raises TypeError or ValueError if the page could not show it."""
    if not isinstance(sentence, Mapping) or "source" not in sentence:
        raise TypeError(f"sentences[{index}] must be a mapping with 'source', got {sentence!r}")
    known(f"sentences[{index}]['source']", sentence["source"], tokenizer)
    try:
        json.dumps(dict(sentence), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"sentences[{index}] must be what JSON can hold: {error}") from None
    return dict(sentence)
