import numpy as np
import torch


def layer_in_place(x, attend, feed, norm_1, norm_2):
    x += attend(norm_1(x), norm_1(x))
    x += feed(norm_2(x))
    return x


def post_norm_layer(x, attend, feed, norm_1, norm_2):
    x = norm_1(x + attend(x, x))
    return norm_2(x + feed(x))


def seen(x, a, n):
    return x + a(n(x), n(x))


RIGHT = {
    "check_what_moves": [(3, 7), [3, 7.0], torch.tensor([3, 7]), np.array([3, 7]), "3 and 7"],
    "check_encoder_layer": [
        layer_in_place,
        lambda x, a, f, n, m: f(m(h := a(n(x), n(x)) + x)) + h,
        lambda x, a, f, n, m: x + a(n(x), n(x)) + f(m(x + a(n(x), n(x)))),
    ],
    "check_baselines": [
        ("the", "cat", "dog", "cat"),
        ["The", "cat", "dog", "cat"],
        "the, cat, dog, cat",
        np.array(["the", "cat", "dog", "cat"]),
    ],
    "check_articles": [
        ("die", "der", "either"),
        ["die", "der", "both"],
        "die, der, either",
        np.array(["die", "Der", "either"]),
    ],
}

WRONG = {
    "check_what_moves": [
        ((7, 3), "other way round"),
        ((9, 9), "without the mask"),
        ((1, 7), "as well"),
        ((2, 7), "looks at itself"),
        ((6, 6), "may look at the fourth"),
        ((3, 3), "second layer hears"),
        ((3, 9), "one word further"),
        ((3, 5), "two layers"),
        ((3, 8), "how many words on"),
        (3, "2 numbers are needed"),
        ({3, 7}, "keep them in order"),
    ],
    "check_encoder_layer": [
        (post_norm_layer, "this is post-norm"),
        (lambda x, a, f, n, m: f(m(a(n(x), n(x)))), "both residuals"),
        (lambda x, a, f, n, m: f(m(seen(x, a, n))), "second residual is missing"),
        (lambda x, a, f, n, m: (h := a(n(x), n(x))) + f(m(h)), "first residual is missing"),
        (lambda x, a, f, n, m: (h := n(x) + a(n(x), n(x))) + f(m(h)), "x itself"),
        (lambda x, a, f, n, m: (h := m(seen(x, a, n))) + f(h), "x itself"),
        (lambda x, a, f, n, m: (g := m((h := n(x)) + a(h, h))) + f(g), "x itself"),
        (lambda x, a, f, n, m: (h := x + a(n(x), x)) + f(m(h)), "both arguments"),
        (lambda x, a, f, n, m: (h := x + a(x, n(x))) + f(m(h)), "both arguments"),
        (lambda x, a, f, n, m: seen(x, a, n) + f(m(x)), "should read"),
        (lambda x, a, f, n, m: x + f(m(seen(x, a, n))), "not the first x"),
        (lambda x, a, f, n, m: (h := seen(x, a, m)) + f(n(h)), "swapped"),
        (lambda x, a, f, n, m: (h := seen(x, a, n)) + f(n(h)), "one norm is used twice"),
        (lambda x, a, f, n, m: (h := seen(x, a, m)) + f(m(h)), "one norm is used twice"),
        (lambda x, a, f, n, m: (h := x + n(a(x, x))) + m(f(h)), "not around its result"),
        (lambda x, a, f, n, m: (h := x + a(x, x)) + f(h), "both norms"),
        (lambda x, a, f, n, m: (h := seen(x, a, n)) + f(h), "second norm"),
        (lambda x, a, f, n, m: (h := x + a(x, x)) + f(m(h)), "first norm"),
        (lambda x, a, f, n, m: seen(x, a, n), "feed-forward is missing"),
        (lambda x, a, f, n, m: x + f(m(a(n(x), n(x)))), "norm, attention, add"),
        (lambda x, a, f, n, m: a(x), "stops with TypeError"),
    ],
    "check_baselines": [
        (("cat", "cat", "dog", "cat"), "same for every gap"),
        (("sees", "cat", "dog", "cat"), "same for every gap"),
        (("the", "dog", "dog", "cat"), "only"),
        (("the", "old", "dog", "cat"), "came after"),
        (("the", "cat", "man", "cat"), "was another"),
        (("the", "cat", "cat", "cat"), "before it and"),
        (("the", "cat", "dog", "dog"), "dogs bark"),
        (("the", "cat", "dog", "the"), "sees the word before"),
        ((".", "cat", "dog", "cat"), "yours are 3"),
        ((1, 2, 3, 4), "words are needed"),
    ],
    "check_articles": [
        (("der", "der", "either"), "feminine"),
        (("either", "der", "either"), "feminine"),
        (("die", "die", "either"), "masculine"),
        (("die", "der", "die"), "masculine"),
        (("die", "either", "either"), "one role for the dog"),
        (("die", "den", "either"), "who found him"),
        (("die", "der", "den"), "does .die Katze. say"),
        (("die", "der", "der"), "does .die Katze. say"),
        (("das", "der", "den"), "'das' is none"),
        (("die", "der"), "yours are 2"),
        (("die", "der", 1), "words are needed"),
    ],
}
