"""pictures/maps.py: what a map counts; how all of them look is in test_every_figure.py."""

import numpy as np
from matplotlib.colors import to_hex

from helpers.pictures.maps import (
    attention_map,
    attention_maps,
    attention_steps,
    cache_growth,
    grids,
)
from helpers.pictures.style import CROSS, DECODER, ENCODER, png


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_one_row_of_every_map_can_be_outlined_with_its_numbers():
    weights = np.array([[[0.9, 0.1], [0.04, 0.96]], [[0.5, 0.5], [0.3, 0.7]]])
    plain = attention_maps(weights, list("ab"), list("xy"), ["one", "two"])
    assert [texts(axes) for axes in plain.axes] == [[], []]
    figure = attention_maps(weights, list("ab"), list("xy"), ["one", "two"], row=1)
    assert [texts(axes) for axes in figure.axes] == [["0.96"], ["0.30", "0.70"]]
    (frame,) = figure.axes[0].patches
    assert (frame.get_y(), round(frame.get_width(), 2)) == (0.54, 1.92)


def test_a_map_says_what_its_rows_are_in_the_picture_and_in_its_description():
    plain, named = (
        attention_map(np.eye(2), list("ab"), list("xy"), rows=r) for r in (None, "read")
    )
    assert texts(named.axes[0]) == [*texts(plain.axes[0]), "read ↓"]
    assert "each row (read) looks" in named.alt
    assert "each row looks" in plain.alt
    figure = attention_maps(np.ones((2, 1, 1)), ["a"], ["x"], ["one", "two"], rows="written")
    assert [texts(axes) for axes in figure.axes] == [["written ↓"]] * 2
    assert "row (written) looks" in figure.alt


def test_matrices_of_different_kinds_have_scales_of_their_own():
    different = {"keys": [[4.0]], "weights": [[0.5]]}
    for alike, scales, numbers in (
        (True, [4, 4], ["4", "0.50"]),
        (False, [4, 0.5], ["4", "0.50"]),
    ):
        figure = grids(different, alike=alike)
        assert [axes.images[0].get_clim()[1] for axes in figure.axes] == scales
        assert [texts(axes) for axes in figure.axes] == [[n] for n in numbers]


def test_a_table_with_names_is_read_aloud():
    table = [[0.84, -0.001], [0.5, 12]]
    assert grids({"share": table}, ["layer 1", "layer 2"], ["head 1", "head 2"]).alt == (
        "Table of share. layer 1: head 1 0.84, head 2 0.00. layer 2: head 1 0.50, head 2 12.00."
    )


def test_the_weights_take_the_colour_of_their_role_and_positive_scores_are_blue():
    for role, colour in (("cross", CROSS), ("encoder", ENCODER)):
        figure = attention_steps([[1.0]], [[1.0]], [[1.0]], [[1.0]], ["a"], ["b"], role)
        for axes, expected in zip(figure.axes, [ENCODER, ENCODER, ENCODER, colour], strict=True):
            red, green, blue, _ = axes.images[0].to_rgba(1.0, bytes=True)
            assert f"#{red:02X}{green:02X}{blue:02X}" == expected


def test_cache_growth_counts_what_is_computed_and_kept():
    figure = cache_growth({"self": ([[2, 0], [1, 2]], ["a", "b"]), "cross": ([[2], [1]], ["x"])})
    png(figure)
    assert figure.alt.endswith("self: 2 computed, 1 kept, cross: 1 computed, 1 kept.")


def test_cache_growth_gives_self_attention_the_decoders_colour():
    figure = cache_growth({"self": ([[2]], ["a"]), "cross": ([[2]], ["x"])})
    own, across = (to_hex(axes.images[0].cmap(1.0)).upper() for axes in figure.axes)
    assert (own, across) == (DECODER, CROSS)


def test_the_text_for_readers_who_cannot_see_a_grid_has_its_numbers():
    weights = np.array([[[0.9, 0.1], [0.04, 0.96]], [[0.5, 0.5], [0.3, 0.7]]])
    given = weights, list("ab"), list("xy"), ["one", "two"]
    assert attention_maps(*given, row=1).alt.endswith(
        "row, y, looks most: one at b (0.96), two at b (0.70)."
    )
    assert attention_maps(*given).alt.endswith(
        "two. Attention map; each row looks most at: x at a (0.50), y at b (0.70)."
    )
    wide = np.arange(18.0).reshape(2, 9)
    told = grids({"Q": [[0.5, -1.0]], "x": wide}).alt
    assert told.endswith("Q (1 by 2): 0.50, -1. x (2 by 9), first row: 0, 1, 2, 3, 4, 5, 6, 7, 8.")
    steps = attention_steps([[2.0]], [[1.0]], [[1.0]], [[1.0]], ["a"], ["b"]).alt
    assert steps.endswith("Scores: b 2. Weights: b 1.")
