"""Checks of notebook 02, multi-head attention. Heads are counted from 1 in words and pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import helpers
from helpers.attention import MultiHeadAttention, attention, merge_heads, split_heads
from helpers.checkpoints import load_model
from helpers.checks import Wrong, ask, choice, close, exercise, expect, expect_like
from helpers.checks.reading import numbers, output, words
from helpers.corpora.toy import vocabulary
from helpers.decoding import cross_attention_maps
from helpers.tokenizer import Tokenizer


@exercise("2.1")
def check_doubled_heads(answer: Any) -> str:
    """Predict: by which factors parameters, d_k and weights change with 8 heads instead of 4."""
    parameters, d_k, weights = numbers(answer, "parameters", "d_k", "attention weights")
    if parameters == 2:
        raise Wrong("more heads share out the columns of the same matrices: do those grow?")
    if d_k == 8:
        raise Wrong("8 is the new d_k. By which factor has it changed? It was 16")
    if d_k == 2:
        raise Wrong("twice as many heads share the same 64 columns: does each get more of them?")
    if d_k == 1:
        raise Wrong("d_k is d_model / heads, and the number of heads has doubled")
    if weights == 1:
        raise Wrong("each head has a map of its own, with a weight for each pair of words")
    if weights in (0.5, 4):
        raise Wrong(
            "a map stays as large as it is, a row and a column for each word; count the maps"
        )
    if (parameters, d_k, weights) != (1, 0.5, 2):
        raise Wrong("three factors are needed, new divided by old; 1 means that nothing changes")
    return "no more parameters, narrower heads, and twice as many maps to compute"


@exercise("2.2")
def check_unscramble(answer: Any) -> str:
    """Repair: what was merged by reshape alone (batch, length, d_model) -> as merge_heads gives."""
    cases = []
    for b, h, s, d in ((2, 3, 5, 4), (3, 4, 2, 6)):
        x = torch.arange(float(b * h * s * d)).reshape(b, h, s, d)
        cases.append((x.reshape(b, s, h * d), h))

    def apart(x: Tensor, heads: int) -> Tensor:
        return x.reshape(len(x), heads, x.size(1), -1)

    expect_like(
        answer,
        lambda x, heads: merge_heads(apart(x, heads)),
        cases,
        {
            "nothing has changed: split_heads and merge_heads undo each other. What undoes the "
            "reshape?": lambda x, heads: x,
            "the heads are apart again, as they were before the reshape; now merge them": apart,
            "heads and words have changed places; now join the last two dimensions": (
                lambda x, heads: apart(x, heads).transpose(1, 2)
            ),
            "that scrambles it a second time: the numbers have to go the other way": (
                lambda x, heads: split_heads(x, heads).reshape(x.shape)
            ),
            "this splits words that are scrambled already: first undo the reshape": split_heads,
            "the columns of the heads are interleaved: keep each head's d_k together": (
                lambda x, heads: apart(x, heads).permute(0, 2, 3, 1).flatten(2)
            ),
        },
        "first bring the heads back as they were before the reshape, then merge them properly",
    )
    return "a reshape moves no number, so another one undoes it"


@exercise("2.3")
def check_heads_needed(answer: Any) -> str:
    """Sort: how many heads fetch (7, 5), (3.5, 4) and (8, 6) from (6, 5), (0, 0), (7, 8)."""
    first, second, third = numbers(answer, "for (7, 5)", "for (3.5, 4)", "for (8, 6)")
    if not {first, second, third} <= {0, 1, 2}:
        raise Wrong("write 1, 2 or 0 for each wish, for example (1, 1, 1)")
    if first == 1:
        raise Wrong("to get 7, all the weight goes to gefunden: which second number comes with it?")
    if first == 0:
        raise Wrong("(7, 5): 7 is in the first column and 5 in the second; give each to a head")
    if second != 1:
        raise Wrong("(3.5, 4): what is half of gefunden and half of den?")
    if third != 0:
        raise Wrong("(8, 6): can an average of 6, 0 and 7 be 8?")
    return "an average lies between the numbers; two heads are free in each column, but no freer"


@exercise("2.4")
def check_multi_head(answer: Any) -> str:
    """Find the mistake: multi-head attention from ready projections, scaled by √d_model."""
    torch.manual_seed(0)
    cases = [
        (torch.randn(b, t, d), torch.randn(b, s, d), torch.randn(b, s, d), heads)
        for b, t, s, d, heads in ((2, 3, 5, 8, 4), (1, 4, 3, 6, 2))
    ]

    def by_heads(scale: Callable = lambda d, h: 1.0, merge: Callable = merge_heads) -> Callable:
        def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
            key = k * scale(k.size(-1), heads)
            return merge(attention(*(split_heads(x, heads) for x in (q, key, v)))[0])

        return attend

    def cut_badly(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        parts = (x.reshape(len(x), heads, x.size(1), -1) for x in (q, k, v))
        return merge_heads(attention(*parts)[0])

    expect_like(
        answer,
        by_heads(),
        cases,
        {
            "this is one head over all columns: split before you attend": (
                lambda q, k, v, heads: attention(q, k, v)[0]
            ),
            "the scores are scaled by √d_model; each head has only d_k columns": (
                by_heads(lambda d, h: h**-0.5)
            ),
            "the scores aren't scaled by √d_k": by_heads(lambda d, h: (d / h) ** 0.5),
            "the scores are scaled twice: `attention` does it already": (
                by_heads(lambda d, h: (d / h) ** -0.5)
            ),
            "the keys are used as values as well: split all three": (
                lambda q, k, v, heads: by_heads()(q, k, k, heads)
            ),
            "the heads are merged by a reshape alone, which mixes up the words: use merge_heads": (
                by_heads(merge=lambda x: x.reshape(len(x), x.size(2), -1))
            ),
            "the heads are cut by a reshape alone, which mixes up the words: use split_heads": (
                cut_badly
            ),
            "the heads are still apart: merge them": by_heads(merge=lambda x: x),
        },
        "split all three, attend, merge",
        read=output,
    )
    return "split, attend, merge"


check_quiz = choice(
    "2.5",
    "a",
    {
        "a": "each output column of W_O reads all heads",
        "b": "putting the heads side by side does that already",
        "c": "softmax does that, before W_O",
        "d": "the next layer has a W_Q of its own",
    },
)


@exercise("2.6")
def check_strongest(answer: Any) -> str:
    """Look inside: the column with the largest weight for each head and query of one sentence."""
    torch.manual_seed(0)
    for width, heads, length in ((8, 4, 5), (6, 2, 3)):
        layer, x = MultiHeadAttention(width, heads), 3 * torch.randn(1, length, width)
        default = layer.attention
        weights = _weights(layer, x)[0]
        got = ask(answer, layer, x)
        if close(got, weights):
            raise Wrong("these are the weights; argmax turns them into the NUMBER of a column")
        if close(got, weights.argmax(-1)[None]):
            raise Wrong("the batch is still there: take its first and only sentence")
        if close(got, weights.argmax(-2)):
            raise Wrong("rows are queries: the largest weight of a row is argmax(-1)")
        if close(got, weights.mean(0).argmax(-1)):
            raise Wrong("the heads are averaged; look at each by itself")
        if close(got, weights.argmax(-1) + 1):
            raise Wrong("columns are indices here, and count from 0")
        if close(got, weights.amax(-1)):
            raise Wrong("these are the largest weights; which COLUMN are they in? That is argmax")
        expect(got, weights.argmax(-1), "for each head and query, the column of the largest weight")
        if layer.attention is not default:
            raise Wrong("the layer still records: use `with`, which puts it back as it was")
    return "what a layer computed on the way, without a change to its code"


GERMAN = [
    "ich",
    "glaube",
    ",",
    "dass",
    "die",
    "Frau",
    "das",
    "Buch",
    "nicht",
    "gelesen",
    "hat",
    ".",
]
ENGLISH = ["I", "believe", "that", "the", "woman", "did", "not", "read", "the", "book", "."]


@exercise("2.7")
def check_did_heads(answer: Any) -> str:
    """Find out: where each head of the translator's last layer looks as it writes "did"."""
    got = words(answer)
    model = load_model(Path(helpers.__file__).parent / "data" / "translator.safetensors")
    maps = cross_attention_maps(model, Tokenizer(vocabulary()), GERMAN, ENGLISH)
    looks = [  # layer, row -> a word for each head
        [[[*GERMAN, "<eos>"][i] for i in row] for row in layer.argmax(-1).T.tolist()]
        for layer in maps.values()
    ]
    row = ENGLISH.index("did")
    right = words(looks[-1][row])
    if got == right:
        return "no head is torn: *did* stands for two things, and different heads fetch them"
    if len(got) == 1:
        raise Wrong("four words are needed, one for each head")
    if got == words(looks[0][row]):
        raise Wrong("that is the first layer; the last one has the index 1")
    if got == words(looks[-1][row - 1]):
        raise Wrong("that row writes 'woman'; the one that writes 'did' has read 'woman' already")
    if got == words(looks[-1][row + 1]):
        raise Wrong("that row has read 'did' already; take the one before it")
    if len(got) != 4:
        raise Wrong(f"four words are needed, one for each head; these are {len(got)}")
    if sorted(got) == sorted(right):
        raise Wrong("the words are right, but which head is which? Head 1 comes first")
    if set(got) == {right[0]}:
        raise Wrong("not all of them look there; look at the largest weight of each head again")
    raise Wrong("take the last layer's maps, the row of 'woman', and each head's largest weight")


def _weights(layer: Any, x: Tensor) -> Tensor:
    """The layer's attention weights in self-attention. The layer stays as it was."""
    maps: list[Tensor] = []

    def noting(
        query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        found, weights = attention(query, key, value, mask)
        maps.append(weights.detach())
        return found, weights

    default, layer.attention = layer.attention, noting
    layer(x, x)
    layer.attention = default
    return maps[0]
