"""Checks of notebook 06, the decoder."""

from typing import Any

import torch
from torch import Tensor

from helpers.checks import Wrong, ask, choice, close, exercise, expect_like
from helpers.checks.reading import numbers, pair, several
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
def check_two_temperatures(answer: Any) -> str:
    """Predict: 0.9 against 0.1 at a temperature of 1; the 0.9 at temperatures of 2 and of 0.5."""
    got = numbers(answer, "what *dog* gets at a temperature of 2", "what it gets at 0.5")

    def like(*wanted: float) -> bool:
        return close(got, wanted, 0.006)

    if like(3 / 4, 81 / 82):
        return "a ratio of 9 to 1 becomes 3 to 1, or 81 to 1"
    if like(81 / 82, 3 / 4):
        raise Wrong("the other way round: 2 is the daring temperature, 0.5 is the cautious one")
    if like(1 / 4, 1 / 82):
        raise Wrong("that is what is left for *cat*")
    if like(75, 99) or like(75, 98.8):
        raise Wrong("these are percentages; probabilities add up to 1")
    if like(3, 81):
        raise Wrong("those are the ratios: make shares of 3 to 1 and of 81 to 1")
    if like(4.5 / 5.5, 18 / 19):
        raise Wrong(
            "you halved and doubled the ratio 9 to 1; what halves and doubles is the difference of "
            "the logits, and e to the power of a difference is a ratio"
        )
    if like(0.45, 1.8) or like(1.8, 0.45):
        raise Wrong("the temperature divides the logits, not the probabilities")
    if like(0.6, 0.83):
        raise Wrong("softmax of the probabilities; the temperature divides the logits instead")
    if like(0.9, 0.9):
        raise Wrong("nothing changes only at a temperature of 1")
    if got[0] > 0.9 or got[1] < 0.9:
        raise Wrong("a high temperature evens the two words out, and a low one favours *dog* more")
    if close(got[0], 3 / 4, 0.006):
        raise Wrong(
            "right at 2; at 0.5 the difference of the logits doubles: what about the ratio?"
        )
    if close(got[1], 81 / 82, 0.006):
        raise Wrong("right at 0.5; at 2 the difference of the logits halves: what about the ratio?")
    raise Wrong(
        "the ratio is 9 to 1. What is it if the difference of the logits halves or doubles?"
    )


@exercise("6.3")
def check_rows_that_change(answer: Any) -> str:
    """Predict: how many of the nine rows of a decoder's map a changed word can change."""
    got = numbers(answer, "rows for *cat*", "rows for *today*", "rows for *Katze*")
    cat, last, german = got
    if got == [6, 1, 0]:
        return "each row depends on itself and what is before it, and on nothing else"
    if german:
        raise Wrong("c: where would the German enter this model?")
    if cat == 9 or last == 9:
        raise Wrong("that is how an encoder reads: here no row sees the words after it")
    if cat == 1:
        raise Wrong("a: the rows below look at *dog*, too, so they can change with it")
    if cat == 5:
        raise Wrong("a: the row *dog* itself can change as well, because its own word is its query")
    if cat in (3, 4):
        raise Wrong("a: the rows above can't see *dog*; count the row *dog* and those below it")
    if cat == 7:
        raise Wrong("a: one too many: the first row that can change is *dog*, the fourth of nine")
    if cat != 6:
        raise Wrong("a: which rows have *dog* in a column that isn't hatched?")
    if last == 0:
        raise Wrong("b: nobody comes after the last word, but it looks itself")
    raise Wrong("b: which rows can see the last column of the map?")


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
