"""Checks of notebook 06, the decoder."""

from typing import Any

import torch
from torch import Tensor

from helpers.checks import Wrong, ask, choice, exercise, expect_like
from helpers.checks.reading import pair, several, words
from helpers.encoder import EncoderLayer
from helpers.masks import causal_mask
from helpers.special_ids import BOS, EOS

_INPUT_AND_LABELS = "(what the decoder reads, what it has to predict)"


def _ids(part: Any) -> list[int]:
    """The ids in a list, a tensor, or a batch of one sentence."""
    parts = several(part)
    return _ids(parts[0]) if len(parts) == 1 and isinstance(parts[0], list) else parts


def _shifted(answer: Any, ids: list[int]) -> tuple[list[int], list[int]]:
    """What the learner's function returns for a list of ids, or, if it takes none, for a tensor."""
    framed = [BOS, *ids, EOS]
    first: Wrong | None = None
    for form in (ids, torch.tensor(ids), torch.tensor([ids]), torch.tensor([framed])):
        try:
            got = ask(answer, form)
        except Wrong as stops:
            first = first or stops
            continue
        reads, says = (_ids(part) for part in pair(got, _INPUT_AND_LABELS))
        if first is None or (reads, says) == (framed[:-1], framed[1:]):
            return reads, says
    raise Wrong(f"`ids` is a list such as {ids}, without BOS and EOS; {first}")


@exercise("6.1")
def check_shift(answer: Any) -> str:
    """Implement teacher forcing: ids of a sentence -> (input, labels)."""
    for ids in ([7, 8, 9], [5, 6]):
        reads, says = _shifted(answer, ids)
        if (reads, says) == ([BOS, *ids], [*ids, EOS]):
            continue
        if reads == says:
            raise Wrong("input and labels are the same: the model would only have to copy")
        if (says, reads) == ([BOS, *ids], [*ids, EOS]):
            raise Wrong("the shift goes the wrong way: after BOS comes the first word")
        if (reads, says) == (ids[:-1], ids[1:]):
            raise Wrong("the shift is right, but who learns to start (BOS), or to stop (EOS)?")
        if [BOS, *ids, EOS] in (reads, says):
            raise Wrong("input and labels must be equally long: input without EOS, labels without "
                        "BOS")  # fmt: skip
        if (reads, says) == ([BOS, *ids], ids):
            raise Wrong("the labels have no EOS: the model wouldn't learn to stop")
        if reads == ids:
            raise Wrong("the input has no BOS: what should the decoder read before the first word?")
        raise Wrong(f"for words {ids} it reads {[BOS, *ids]} and has to predict {[*ids, EOS]}")
    return "same words, one step apart"


@exercise("6.2")
def check_temperature(answer: Any) -> str:
    """Implement: logits and a temperature -> probabilities."""
    logits = torch.tensor([2.0, 1.0, 0.0])
    batch = torch.tensor([[0.0, 1.0, 3.0, -1.0], [2.0, 2.0, 0.5, 0.0]])
    expect_like(
        answer,
        lambda z, t: (z / t).softmax(-1),
        [(logits, 0.5), (logits, 2.0), (batch, 0.7)],
        {
            "multiplied: a temperature below 1 should make the best word MORE likely": (
                lambda z, t: (z * t).softmax(-1)
            ),
            "divide the logits BEFORE softmax, or the result doesn't sum to 1": (
                lambda z, t: z.softmax(-1) / t
            ),
            "these are still logits: softmax turns them into probabilities": lambda z, t: z / t,
            "the temperature isn't used yet": lambda z, t: z.softmax(-1),
            "these are log-probabilities: softmax, not log_softmax": (
                lambda z, t: (z / t).log_softmax(-1)
            ),
            "this divides by the sum without exp: softmax does both": (
                lambda z, t: z / t / (z / t).sum(-1, keepdim=True)
            ),
            "softmax runs along the wrong dimension: the vocabulary is the last one, dim=-1": (
                lambda z, t: (z / t).softmax(0),
                lambda z, t: (z / t).flatten().softmax(-1).view_as(z),
            ),
        },
        "softmax of logits / temperature",
    )
    return "a low temperature is cautious, a high one is daring"


@exercise("6.3")
def check_what_it_needs(answer: Any) -> str:
    """Explain: which part does a decoder-only model lack to translate."""
    said = " ".join(words(answer))
    if any(part in said for part in ("cross", "source", "encoder", "memory")):
        return "it has no source to look at: cross-attention is next"
    if "mask" in said:
        raise Wrong("it has a mask already: what it lacks is something to read")
    if "position" in said:
        raise Wrong("its embedding has positions already")
    if "attention" in said:
        raise Wrong("it has self-attention: which OTHER attention would let it read a sentence?")
    raise Wrong("which sentence should it write? Name the part that would tell it")


check_quiz = choice(
    "6.4",
    "a",
    {
        "a": "so all places can be trained at once, in one pass",
        "b": "that is generating, one word after another; as training it would be slow, and one "
        "early mistake would spoil the rest",
        "c": "then there would be nothing left to learn",
        "d": "the mask is what makes teacher forcing honest, but it is not the same thing",
    },
)


@exercise("6.5")
def check_decoder_only(answer: Any) -> str:
    """Implement: an encoder layer, used as the layer of a decoder-only model."""
    torch.manual_seed(0)
    layer = EncoderLayer(16, 4, 32, dropout=0.0)

    def with_mask(change: Any) -> Any:
        return lambda layer, x: layer(x, change(causal_mask(x.size(1))))

    def strict(mask: Tensor) -> Tensor:
        return mask.tril(-1)

    with torch.no_grad():
        expect_like(
            answer,
            with_mask(lambda mask: mask),
            [(layer, torch.randn(2, 5, 16)), (layer, torch.randn(1, 3, 16))],
            {
                "this layer reads the future: the mask is missing": lambda layer, x: layer(x),
                "the mask is inverted: this layer reads the future and not the past": (
                    with_mask(lambda mask: ~mask)
                ),
                "rows are queries: this triangle shows the future": with_mask(lambda mask: mask.T),
                "a word may look at itself: your triangle leaves out the diagonal": (
                    with_mask(strict)
                ),
                "every word sees only the first one: the mask is a triangle, (target, target)": (
                    with_mask(lambda mask: mask[:1])
                ),
                "that is x again: call the layer": lambda layer, x: x,
            },
            "the same layer, called with the causal mask of its length",
        )
    return "one argument turns a reader into a writer"
