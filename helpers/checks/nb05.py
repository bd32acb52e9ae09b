"""Checks of notebook 05, the encoder."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from helpers.checks import Wrong, choice, exercise, expect_like
from helpers.checks.reading import numbers, words
from helpers.encoder import EncoderLayer


@exercise("5.1")
def check_what_moves(answer: Any) -> str:
    """Predict: each word sees itself and its two neighbours; the fourth of nine words changes.

    How many outputs change with one layer, and how many with three?
    """
    one, three = numbers(answer, "with one layer", "with three layers")
    if (one, three) == (7, 3):
        raise Wrong("the other way round: first one layer, then three")
    if one == 9:
        raise Wrong("that would be without the mask; here only three words look at the fourth")
    if one == 1:
        raise Wrong("its two neighbours look at the fourth word, so their outputs change as well")
    if one == 2:
        raise Wrong("those are the two neighbours; the fourth word looks at itself, too")
    if one != 3:
        raise Wrong("one layer: which words may look at the fourth?")
    if three == 3:
        raise Wrong("the second layer hears of the change from the third and the fifth word, too")
    if three == 9:
        raise Wrong(
            "each layer carries the change one word further to each side; how far in three?"
        )
    if three == 5:
        raise Wrong("those are two layers: the third carries it one word further to each side")
    if three != 7:
        raise Wrong("one layer is right; each further one carries the change how many words on?")
    return "each layer carries the news one word further to either side"


@exercise("5.2")
def check_encoder_layer(answer: Any) -> str:
    """Implement a pre-norm encoder layer's forward from its parts, dropout off."""
    torch.manual_seed(0)
    layer = EncoderLayer(16, 4, 32, dropout=0.0, norm_first=True).eval()
    norms = (layer.add_norm_self.norm, layer.add_norm_ff.norm)
    for norm in norms:  # otherwise both would be the same, and a swap would not show
        torch.nn.init.normal_(norm.weight), torch.nn.init.normal_(norm.bias)
    parts = (layer.self_attention, layer.feed_forward, *norms)
    cases = [(torch.randn(2, 5, 16), *parts), (torch.randn(1, 3, 16), *parts)]

    def attended(x: Tensor, a: Callable, n: Callable) -> Tensor:
        return x + a(n(x), n(x))

    with torch.no_grad():
        expect_like(
            answer,
            lambda x, *parts: layer(x),
            cases,
            {
                "this is post-norm; in pre-norm, each norm comes before its sub-layer": (
                    lambda x, a, f, n, m: m((h := n(x + a(x, x))) + f(h))
                ),
                "both residuals are missing: each step ADDS to what came in": (
                    lambda x, a, f, n, m: f(m(a(n(x), n(x))))
                ),
                "the second residual is missing: add what went into its norm": (
                    lambda x, a, f, n, m: f(m(attended(x, a, n)))
                ),
                "the first residual is missing: add x to what attention found": (
                    lambda x, a, f, n, m: (h := a(n(x), n(x))) + f(m(h))
                ),
                "the residual is x itself, not the norm of x": (
                    lambda x, a, f, n, m: (h := n(x) + a(n(x), n(x))) + f(m(h)),
                    lambda x, a, f, n, m: m(h := attended(x, a, n)) + f(m(h)),
                    lambda x, a, f, n, m: m(h := n(x) + a(n(x), n(x))) + f(m(h)),
                ),
                "both arguments of attention should be normalised: the words look at each other": (
                    lambda x, a, f, n, m: (h := x + a(n(x), x)) + f(m(h)),
                    lambda x, a, f, n, m: (h := x + a(x, n(x))) + f(m(h)),
                ),
                "the feed-forward should read the result of the attention step, not x": (
                    lambda x, a, f, n, m: attended(x, a, n) + f(m(x))
                ),
                "the second residual adds the attention step's result, not the first x": (
                    lambda x, a, f, n, m: x + f(m(attended(x, a, n)))
                ),
                "the two norms are swapped: norm_1 belongs to attention": (
                    lambda x, a, f, n, m: (h := attended(x, a, m)) + f(n(h))
                ),
                "one norm is used twice: norm_1 before attention, norm_2 before the feed-forward": (
                    lambda x, a, f, n, m: (h := attended(x, a, n)) + f(n(h)),
                    lambda x, a, f, n, m: (h := attended(x, a, m)) + f(m(h)),
                ),
                "the norm belongs before the sub-layer, not around its result": (
                    lambda x, a, f, n, m: (h := x + n(a(x, x))) + m(f(h))
                ),
                "both norms are missing": lambda x, a, f, n, m: (h := x + a(x, x)) + f(h),
                "the second norm is missing: the feed-forward reads it": (
                    lambda x, a, f, n, m: (h := attended(x, a, n)) + f(h)
                ),
                "the first norm is missing: attention reads it": (
                    lambda x, a, f, n, m: (h := x + a(x, x)) + f(m(h))
                ),
                "the feed-forward is missing: that is the attention step alone": (
                    lambda x, a, f, n, m: attended(x, a, n)
                ),
            },
            "norm, attention, add; then norm, feed-forward, add",
            tolerance=1e-4,
        )
    return "norm, attention, add; norm, feed-forward, add"


@exercise("5.3")
def check_baselines(answer: Any) -> str:
    """Predict: what the three baselines answer for one gap, and the third for another."""
    got = words(answer)
    if got == ["the", "cat", "dog", "cat"]:
        return "the more a baseline sees, the less often it has seen it"
    if len(got) != 4:
        raise Wrong(f"four words are needed here, and none is the full stop; yours are {len(got)}")
    always, before, both, unseen = got
    if always != "the":
        raise Wrong("the first answers the same for every gap: which word occurs most often?")
    if before == "dog":
        raise Wrong("the second sees only *the*: count what follows each *the*, not what *sees*")
    if before != "cat":
        raise Wrong("the second counts what came after *the*: *old*, *cat* and *dog*, how often?")
    if both == "man":
        raise Wrong("the word before *man* was *old* there: between *the* and *sees* was another")
    if both != "dog":
        raise Wrong("the third looks for a word with *the* before it and *sees* after it")
    if unseen == "dog":
        raise Wrong("it doesn't know that dogs bark: it never saw *the … barks*, so what is left?")
    raise Wrong("it never saw *the … barks*, so it answers like the one that sees the word before")


check_quiz = choice(
    "5.4",
    "c",
    {
        "a": "true of what goes in; but then *Hund* looks at the verb, and that one differs",
        "b": "the embedding knows the word and its place, and both are the same in both sentences",
        "c": "one round of attention is enough: *Hund* looks at the words on its right as well",
        "d": "that would need a causal mask; in an encoder every word sees what comes after it",
    },
)


@exercise("5.5")
def check_articles(answer: Any) -> str:
    """Predict: der, den or die for *der Mann ___ Katze*, *den Mann ___ Hund*, *die Katze ___ Hund*.

    The last could be der or den, which is "either".
    """
    got = words(answer)
    if len(got) != 3:
        raise Wrong(f"three words are needed, one for each gap; yours are {len(got)}")
    if strange := [word for word in got if word not in ("der", "den", "die", "either", "both")]:
        raise Wrong(
            f"choose among 'der', 'den', 'die' and 'either'; {strange[0]!r} is none of them"
        )
    cat, found_man, found_by_cat = got
    if cat != "die":
        raise Wrong("the first: *Katze* is feminine, and *die* whether it finds or is found")
    if "die" in got[1:]:
        raise Wrong("the second and the third: *Hund* is masculine, so it is *der* or *den*")
    if found_man in ("either", "both"):
        raise Wrong("the second: *den Mann* says what the man is, and leaves one role for the dog")
    if found_man != "der":
        raise Wrong("the second: *den Mann* was found, so who found him?")
    if found_by_cat not in ("either", "both"):
        raise Wrong("the third: does *die Katze* say whether she found somebody or was found?")
    return "the articles say who found whom, and in the third sentence they don't"
