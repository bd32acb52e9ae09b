"""When was each word said, and how many are right? Built in notebook 16.

Times are read off the cross-attention of a Whisper.

Source of the method: OpenAI's code of Whisper; the path is found by dynamic time warping (Sakoe
and Chiba 1978).
"""

import math
import re
import statistics
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.attention import record_attention
from helpers.evaluation import evaluating
from helpers.lessons.sound import Timing
from helpers.lessons.whisper_text import Spelling
from helpers.special_ids import BOS
from helpers.transformer import Transformer

MOMENT = 0.02  # seconds: the memory has 50 vectors a second


def heard_where(
    model: Transformer, spelling: Spelling, spectrogram: Tensor, ids: Sequence[int], seconds: float
) -> Tensor:
    """All cross-attention while the model writes `ids`: (layers, heads, tokens + 1, moments).

    Row t is the query that writes token t, and the last row writes EOS. Columns are the moments of
    the first `seconds`. Attention to the silence after them is left out, and each row is rescaled
    so that it adds up to 1 again.
    """
    read = torch.tensor([[BOS, spelling.first, *ids]])
    with evaluating(model), record_attention(model) as maps:
        model(spectrogram[None], read)
    across = torch.stack([m[0] for name, m in maps.items() if "cross_attention" in name])
    moments = across[:, :, 1:, : round(seconds / MOMENT)].clone()
    return moments / moments.sum(-1, keepdim=True)


def match(weights: Tensor) -> Tensor:
    """Maps of several heads (heads, tokens, moments) -> how well each token fits each moment.

    In each column, a token's weight is compared with those of the other tokens, so that a moment at
    which all of them look counts for none. Single outliers are smoothed away along time.
    """
    spread = weights.std(-2, keepdim=True, correction=0)
    compared = (weights - weights.mean(-2, keepdim=True)) / spread.clamp(min=1e-8)
    edge = "reflect" if weights.size(-1) > 3 else "replicate"
    windows = F.pad(compared, (3, 3), mode=edge).unfold(-1, 7, 1)
    return windows.median(-1).values.mean(0)  # (tokens, moments)


def best_path(match: Tensor) -> list[tuple[int, int]]:
    """The way from (first token, first moment) to (last, last) with the largest sum of `match`.

    Each step goes to the next moment, the next token, or both. So no token and no moment is left
    out, and the path never goes back. match (tokens, moments) -> [(token, moment), …].
    """
    gain = match.tolist()
    tokens, moments = len(gain), len(gain[0])
    start = (-1, -1)
    best = {start: (0.0, start)}  # (token, moment): the best sum that ends there, and from where
    for t in range(tokens):
        for m in range(moments):
            before = [(t - 1, m - 1), (t, m - 1), (t - 1, m)]
            came = max((b for b in before if b in best), key=lambda b: best[b][0])
            best[t, m] = (best[came][0] + gain[t][m], came)
    place, path = (tokens - 1, moments - 1), []
    while place != start:
        path.append(place)
        place = best[place][1]
    return path[::-1]


def word_times(weights: Tensor, spelling: Spelling, ids: Sequence[int]) -> list[Timing]:
    """When each word of a text is said, according to these heads: (word, start, end), in seconds.

    weights (heads, tokens + 1, moments), a choice of `heard_where`'s maps for these ids.
    """
    path = best_path(match(weights))
    first: dict[int, float] = {}  # token: the first moment that the path gives to it
    for token, moment in path:
        first.setdefault(token, moment * MOMENT)
    words = split_at_spaces(spelling, ids)
    return [(word, first[start], first[end]) for word, start, end in words]


def split_at_spaces(spelling: Spelling, ids: Sequence[int]) -> list[tuple[str, int, int]]:
    """(word, its first token, the token after its last) for each word of a text."""
    if not len(ids):
        return []
    theirs = spelling.vocabulary.decode(torch.tensor(ids, dtype=torch.long)).tolist()
    starts = [
        i for i, t in enumerate(theirs) if i == 0 or str(spelling.pieces.id_to_token(t))[0] == "Ġ"
    ]
    return [
        (spelling.decode(list(ids[start:end])), start, end)
        for start, end in zip(starts, [*starts[1:], len(ids)], strict=True)
    ]


def timing_error(found: Sequence[Timing], true: Sequence[Timing]) -> float:
    """By how many seconds the starts of the words are off: the median over the words.

    Words whose true start is not known (nan) are left out. Raises ValueError unless both have
    equally many words.
    """
    if len(found) != len(true) or not true:
        raise ValueError(
            f"found and true must have the same words, got {len(found)} and {len(true)}"
        )
    errors = [abs(f[1] - t[1]) for f, t in zip(found, true, strict=True)]
    return statistics.median(error for error in errors if not math.isnan(error))


def errors_by_head(
    maps: Tensor, spelling: Spelling, ids: Sequence[int], true: Sequence[Timing]
) -> dict[tuple[int, int], float]:
    """{(layer, head): the timing error of that head alone}, for all of `heard_where`'s maps."""
    layers, heads = maps.shape[:2]
    return {
        (layer, head): timing_error(word_times(maps[layer, head : head + 1], spelling, ids), true)
        for layer in range(layers)
        for head in range(heads)
    }


def word_error_rate(said: Sequence[str], meant: Sequence[str]) -> float:
    """How many words must be inserted, left out or changed, for each word that was meant.

    Texts are compared in lower case and without punctuation. The edits of all pairs are added up
    before dividing, so long texts count more. Raises ValueError unless both lists have the same
    length and `meant` has at least one word.
    """
    if len(said) != len(meant):
        raise ValueError(f"said and meant need equally many texts, got {len(said)}, {len(meant)}")
    pairs = [(plain_words(s), plain_words(m)) for s, m in zip(said, meant, strict=True)]
    total = sum(len(words) for _, words in pairs)
    if total == 0:
        raise ValueError("meant must hold at least one word, got none")
    return sum(edits(s, m) for s, m in pairs) / total


def plain_words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return re.findall(r"[\w']+", text.lower())


def edits(said: Sequence[str], meant: Sequence[str]) -> int:
    """The fewest words to insert, leave out or change to turn one text into the other.

    Source: Levenshtein 1966.
    """
    row = list(range(len(meant) + 1))  # edits that turn nothing into each beginning of `meant`
    for i, word in enumerate(said, start=1):
        last, row = row, [i]
        for j, wanted in enumerate(meant, start=1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (word != wanted)))
    return row[-1]
