"""pictures.py and architecture.py: no text overlaps or is cut, every figure says what it shows."""

import itertools

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from helpers import pictures
from helpers.layers import sinusoidal_positions
from helpers.pictures import architecture, mechanism

WORDS = ["gestern", "hat", "der", "kleine", "Hund", "den", "Ball", "gefunden", "."]
ENGLISH = ["the", "little", "dog", "found", "the", "ball", "yesterday", "."]
RNG = np.random.default_rng(0)


def shares(*shape):
    x = RNG.random(shape)
    return x / x.sum(-1, keepdims=True)


HISTORY = [
    {"step": s, "seconds": s / 50, "tokens_per_second": 9e3, "train_loss": 5 / s + 1}
    | {"validation_loss": 4 / s, "learning_rate": 1 / s}
    for s in range(1, 12)
]
SCORES = RNG.normal(size=(3, 5))
MASKED = np.where([True, True, True, True, False], SCORES / 2, -np.inf)

FIGURES = {
    "minimap": lambda: architecture.minimap("cross-attention"),
    "minimap all": lambda: architecture.minimap("all"),
    "transformer": lambda: architecture.transformer(),
    "transformer pre-norm": lambda: architecture.transformer(norm_first=True),
    "stack": lambda: architecture.stack(6),
    "stack of 1": lambda: architecture.stack(1),
    "cross_attention": lambda: mechanism.cross_attention(),
    "self_attention": lambda: mechanism.self_attention(),
    "heads": lambda: mechanism.heads(),
    "pre_post_norm": lambda: architecture.pre_post_norm(),
    "attention_map": lambda: pictures.attention_map(
        shares(8, 9), WORDS, ENGLISH, {(0, 2)}, title="x"
    ),
    "attention_maps": lambda: pictures.attention_maps(
        shares(4, 8, 9), WORDS, ENGLISH, list("abcd")
    ),
    "attention_steps": lambda: pictures.attention_steps(
        SCORES, SCORES / 2, MASKED, shares(3, 5), WORDS[:5], ENGLISH[:3]
    ),
    "grids": lambda: pictures.grids({"Q": SCORES, "K": SCORES * 2}, row_labels=list("abc")),
    "mask_grid": lambda: pictures.mask_grid(
        {"a": np.tri(3) > 0, "b": np.ones((3, 4))}, [list("abc"), list("abcd")], [list("xyz")] * 2
    ),
    "positions": lambda: pictures.positions(sinusoidal_positions(32, 16)),
    "lines": lambda: pictures.lines(
        {"one": ([1, 2], [1, 2]), "other": ([1, 2], [2.01, 2])}, "x", "y", ("base", 2.0)
    ),
    "bars": lambda: pictures.bars({"a": 1.0, "a long name": 0.2}, "share", highlight="a"),
    "processes": lambda: architecture.processes(),
    "readers": lambda: architecture.readers(),
    "pictures": lambda: pictures.image_grid(
        RNG.random((5, 3, 8, 8)), ["a large red circle left of a small blue square"] * 5
    ),
    "attention_on_image": lambda: pictures.attention_on_image(
        RNG.random((3, 8, 8)), shares(7, 16), [*ENGLISH[:6], "<eos>"]
    ),
    "training_curve": lambda: pictures.training_curve(HISTORY, baseline=6.0),
}


def texts_do_not_collide(figure: Figure) -> None:
    """Every visible text lies on the canvas, and no two boxes overlap by more than a hair."""
    FigureCanvasAgg(figure).draw()
    renderer = figure.canvas.get_renderer()
    canvas = figure.bbox
    undrawn = set()  # labels of ticks beyond an axis' limits
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                undrawn |= {tick.label1, tick.label2}
    boxes = []
    for text in figure.findobj(lambda artist: hasattr(artist, "get_text")):
        if text.get_visible() and text.get_text().strip() and text not in undrawn:
            box = text.get_window_extent(renderer)
            assert box.x0 >= -1 and box.y0 >= -1, f"{text.get_text()!r} is cut"
            assert box.x1 <= canvas.x1 + 1 and box.y1 <= canvas.y1 + 1, (
                f"{text.get_text()!r} is cut"
            )
            if not text.get_rotation() % 90:  # a slanted label's box is larger than its ink
                boxes.append((text.get_text(), box))
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        width = min(a.x1, b.x1) - max(a.x0, b.x0)
        height = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert width < 2 or height < 2, f"{one!r} and {other!r} overlap"


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_legible_and_described(name):
    figure = FIGURES[name]()
    assert len(figure.alt) > 20
    with pictures.matplotlib.rc_context(pictures.STYLE):
        texts_do_not_collide(figure)


def test_the_legibility_check_refuses_overlap_and_cut():
    overlapping = Figure(figsize=(4, 2))
    for _ in range(2):
        overlapping.text(0.5, 0.5, "the same place")
    with pytest.raises(AssertionError, match="overlap"):
        texts_do_not_collide(overlapping)
    cut = Figure(figsize=(4, 2))
    cut.text(0.9, 0.5, "too far to the right")
    with pytest.raises(AssertionError, match="is cut"):
        texts_do_not_collide(cut)


def test_the_same_figure_gives_the_same_bytes():
    assert pictures.png(architecture.stack(2)) == pictures.png(architecture.stack(2))


def test_show_stores_a_picture_and_its_description_and_nothing_else(monkeypatch):
    shown = []
    monkeypatch.setattr(plots, "display", lambda *data, **options: shown.append((data, options)))
    pictures.show(architecture.minimap("encoder"))
    pictures.show(architecture.minimap("encoder"), "my words")
    assert [list(data[0]) for data, _ in shown] == [["image/png"]] * 2
    assert shown[0][1]["metadata"]["image/png"]["alt"].startswith("Map of the Transformer")
    assert shown[1][1]["metadata"]["image/png"]["alt"] == "my words"
    with pytest.raises(ValueError, match="alt must say"):
        pictures.show(Figure())


def test_tokens_that_look_like_markup_are_shown_as_they_are():
    figure = pictures.attention_map(np.eye(2), ["$x$", "<b>"], ["$", "a"])
    pictures.png(figure)
    labels = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert labels == [r"\$x\$", "<b>"]


def test_tensors_with_gradients_can_be_drawn():
    weights = torch.eye(2, requires_grad=True)
    pictures.png(pictures.attention_map(weights, list("ab"), list("cd")))


def test_live_curve_redraws_one_display(monkeypatch):
    drawn = []

    class Handle:
        def update(self, *data, **options):
            drawn.append("update")

    def display(*data, **options):
        drawn.append("display")
        return Handle()

    monkeypatch.setattr(plots, "display", display)
    live = pictures.LiveCurve(total_steps=11)
    live(HISTORY[:3])
    live.finish()
    assert drawn == ["display", "update"]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: architecture.minimap("encodr"), "lit must be among .*got 'encodr'"),
        (lambda: architecture.stack(0), "num_layers must be at least 1"),
        (lambda: mechanism.heads(3, 8), "must be divisible"),
        (lambda: mechanism.cross_attention(target=9), "must lie in 1 to 8"),
        (lambda: pictures.attention_map(np.eye(2), list("abc"), list("ab")), r"\(2, 3\)"),
        (
            lambda: pictures.attention_map(np.eye(2), list("ab"), list("ab"), role="red"),
            "role must",
        ),
        (lambda: pictures.attention_maps(np.eye(2), list("ab"), list("ab"), ["x"]), r"\(1, target"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_beam_tree_draws_every_hypothesis_and_names_the_best_path():
    steps = [
        [(-0.1, ("a",)), (-2.0, ("b",))],
        [(-0.5, ("a", "$c_1$")), (-2.5, ("b", "d"))],
    ]
    figure = pictures.beam_tree(steps, ("a", "$c_1$"))
    pictures.png(figure)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == 4 and "-2.50" in texts[3]
    assert len(figure.axes[0].lines) == 2
    assert figure.alt.endswith("the best path reads: a $c_1$.")


def test_cache_growth_counts_what_is_computed_and_kept():
    figure = pictures.cache_growth(
        {"self": ([[2, 0], [1, 2]], ["a", "b"]), "cross": ([[2], [1]], ["x"])}
    )
    pictures.png(figure)
    assert figure.alt.endswith("self: 2 computed, 1 kept, cross: 1 computed, 1 kept.")


def test_lines_take_words_and_a_band():
    figure = pictures.lines(
        {"m": (["1-6", "7+"], [0.9, 0.8], [0.8, 0.7], [1.0, 0.9])}, "n", "share"
    )
    pictures.png(figure)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["1-6", "7+"]
    assert len(figure.axes[0].collections) == 1
