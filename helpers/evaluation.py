"""How good is a translation, and how good an alignment? Used in notebooks 09 to 13."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Link = tuple[int, int]  # (target index, source index)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block, and nothing kept for gradients; afterwards as before."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def exact_match(translations: Sequence[str], references: Sequence[str]) -> float:
    """The share, 0 to 1, of translations that equal their reference to the letter."""
    _same_number(translations, references)
    return sum(map(str.__eq__, translations, references)) / len(references)


def bleu(
    translations: Sequence[str], references: Sequence[str], lowercase: bool = False
) -> tuple[float, str]:
    """Corpus BLEU, 0 to 100, and sacreBLEU's signature, which says how it was computed.

    With `lowercase` both sides are made small first, and the signature says so (case:lc).
    Where sacreBLEU is missing (a place without a network) the score is nan, and the signature
    says what to do, so that whatever else a notebook shows can still be shown.
    """
    _same_number(translations, references)
    try:
        import sacrebleu
    except ImportError:
        return float("nan"), "not computed: sacreBLEU is missing (pip install sacrebleu)"
    metric = sacrebleu.BLEU(lowercase=lowercase)
    score = metric.corpus_score(translations, [references]).score
    return score, str(metric.get_signature())


def strongest_links(weights: Tensor) -> set[Link]:
    """For each target row of a (target, source) map, the source column with the most weight."""
    if weights.dim() != 2:
        raise ValueError(f"weights must be (target, source), got {tuple(weights.shape)}")
    if weights.isnan().any():
        raise ValueError("weights must be numbers, got NaN in them")
    return set(enumerate(weights.argmax(dim=-1).tolist()))


def pointing_accuracy(links: Collection[Link], gold: Collection[Link]) -> tuple[int, int]:
    """(right, asked): of the target words that gold aligns, how many point at a gold word."""
    gold, aligned = set(gold), {target for target, _ in gold}
    asked = [link for link in links if link[0] in aligned]
    return sum(link in gold for link in asked), len(asked)


def alignment_error_rate(links: Collection[Link], gold: Collection[Link]) -> float:
    """1 - 2 |links ∩ gold| / (|links| + |gold|), 0 to 1, lower is better.

    Och and Ney 2003, with every gold link counted as sure.
    """
    links, gold = set(links), set(gold)
    if not links and not gold:
        raise ValueError("links and gold must not both be empty")
    return 1 - 2 * len(links & gold) / (len(links) + len(gold))


def _same_number(translations: Sequence[str], references: Sequence[str]) -> None:
    if not references or len(translations) != len(references):
        raise ValueError(
            "translations and references must be equally many and at least one, "
            f"got {len(translations)} and {len(references)}"
        )
