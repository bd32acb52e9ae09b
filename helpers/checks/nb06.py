"""Checks of notebook 06, the decoder."""

from typing import Any

import torch
from torch import Tensor

from helpers.checks import Wrong, ask, choice, exercise, expect_like
from helpers.checks.reading import pair, several, words
from helpers.encoder import EncoderLayer
from helpers.masks import causal_mask
from helpers.special_ids import BOS, EOS, PAD

_INPUT_AND_LABELS = "(what the model reads, what it has to predict)"


def _ids(part: Any) -> list[int]:
    """The ids in a list, a tensor, or a batch of one sentence."""
    parts = several(part)
    return _ids(parts[0]) if len(parts) == 1 and isinstance(parts[0], list) else parts


def _reads_and_says(
    answer: Any, source: list[int], target: list[int]
) -> tuple[list[int], list[int]]:
    """What the learner's function returns for two lists of ids, or, if it takes none, tensors."""
    first: Wrong | None = None
    for form in (list, torch.tensor):
        try:
            got = ask(answer, form(source), form(target))
        except Wrong as stops:
            first = first or stops
            continue
        reads, says = (_ids(part) for part in pair(got, _INPUT_AND_LABELS))
        return reads, says
    raise Wrong(f"`source` and `target` are lists such as {source}, without BOS and EOS; {first}")


@exercise("6.1")
def check_source_in_front(answer: Any) -> str:
    """Implement: a German and an English sentence -> (input, labels) of a decoder-only model."""
    for source, target in (([7, 8, 9], [20, 21]), ([5, 6], [30, 31, 32])):
        reads, says = _reads_and_says(answer, source, target)
        read, said = [BOS, *source, EOS, *target], [*target, EOS]
        hidden = [PAD] * (len(source) + 1)
        if (reads, says) == (read, hidden + said):
            continue
        for message, mistake in {
            "the English is right, but the model has to read the German before it": (
                [BOS, *target],
                said,
            ),
            "input and labels are not shifted: the model would only have to copy": (
                (read, read),
                (read, [PAD, *hidden, *target]),
            ),
            "this grades the German, too: PAD where the model predicts a German word or EOS": (
                read,
                [*source, EOS, *said],
            ),
            "the EOS between the languages is graded, too; only the English should be": (
                read,
                [*hidden[1:], EOS, *said],
            ),
            "the first English word isn't graded: it is predicted where the model reads EOS": (
                read,
                [PAD, *hidden, *said[1:]],
            ),
            "the labels have no EOS at the end: the model wouldn't learn to stop": (
                (read, hidden + target),
                (read, [*hidden, *target, PAD]),
            ),
            "torch ignores -100, but our loss ignores PAD": (
                read,
                [-100 if i == PAD else i for i in hidden + said],
            ),
        }.items():
            if (reads, says) in (mistake if isinstance(mistake[0], tuple) else (mistake,)):
                raise Wrong(message)
        if reads[:1] != [BOS]:
            raise Wrong("the input has no BOS: what should the model read before the first word?")
        if reads == [BOS, *source, *target]:
            raise Wrong("the input has no EOS after the German: where does the English begin?")
        if reads == [*read, EOS]:
            raise Wrong("the last EOS is only predicted; the model needn't read it")
        if len(reads) != len(says):
            raise Wrong(
                f"input and labels must be equally long; for German {source} and English {target} "
                f"yours have {len(reads)} and {len(says)} ids"
            )
        raise Wrong(
            f"for German {source} and English {target} it reads {read} and has to predict "
            f"{hidden + said}"
        )
    return "with such pairs, a decoder-only model learns to translate"


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
def check_prefix(answer: Any) -> str:
    """Implement: an encoder layer that reads a prefix both ways, and the rest from the left."""
    torch.manual_seed(0)
    layer = EncoderLayer(16, 4, 32, dropout=0.0)

    def with_mask(change: Any) -> Any:
        """The layer, called with the causal mask after `change(mask, prefix)`."""

        def called(layer: Any, x: Tensor, prefix: int) -> Tensor:
            mask = causal_mask(x.size(1))
            change(mask, prefix)
            return layer(x, mask)

        return called

    def inverted(mask: Tensor, n: int) -> None:
        mask[:, :n] = True
        mask.logical_not_()

    def two_islands(mask: Tensor, n: int) -> None:
        mask[:n, :n], mask[n:, :n] = True, False

    def columns(extra: int) -> Any:
        return with_mask(lambda mask, n: mask[:, : n + extra].fill_(True))

    with torch.no_grad():
        expect_like(
            answer,
            columns(0),
            [(layer, torch.randn(2, 6, 16), 3), (layer, torch.randn(1, 7, 16), 2)],
            {
                "that is the causal mask: the German words can't see each other both ways yet": (
                    with_mask(lambda mask, n: mask)
                ),
                "without a mask, the English looks ahead, too": lambda layer, x, n: layer(x),
                "rows are the words that look: here the German looks into the English": (
                    with_mask(lambda mask, n: mask[:n].fill_(True))
                ),
                "the mask is upside down: rows are queries, columns are keys": (
                    with_mask(lambda mask, n: mask.copy_(mask.T.clone())[:n].fill_(True)),
                    with_mask(lambda mask, n: mask.copy_(mask.T.clone())),
                ),
                "the mask is inverted: True means that a word may look": with_mask(inverted),
                "here the English no longer sees the German": with_mask(two_islands),
                "one word too many: the German is at positions 0 to prefix - 1": columns(1),
                "one word too few: the German is at positions 0 to prefix - 1": columns(-1),
                "that is x again: call the layer": lambda layer, x, n: x,
            },
            "causal, but the first `prefix` columns are open to every row",
        )
    return "an encoder in front, a decoder behind it, and one set of weights"
