"""Every figure of helpers/pictures: no text overlaps or is cut, and it says what it shows."""

import itertools

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from helpers import pictures
from helpers.layers import sinusoidal_positions
from helpers.pictures import architecture, mechanism, sound
from helpers.pictures.style import STYLE
from helpers.pictures.wirings import wirings
from tests.support import HISTORY

WORDS = ["gestern", "hat", "der", "kleine", "Hund", "den", "Ball", "gefunden", "."]
ENGLISH = ["the", "little", "dog", "found", "the", "ball", "yesterday", "."]
SPOKEN = [
    ("the", 0.0, 0.1),
    ("dog", 0.1, 0.9),
    ("is", 0.9, 1.0),
    ("$", 1.0, 2.0),
    ("asleep", 2.0, 4.0),
]
RNG = np.random.default_rng(0)


def shares(*shape):
    x = RNG.random(shape)
    return x / x.sum(-1, keepdims=True)


SCORES = RNG.normal(size=(3, 5))
MASKED = np.where([True, True, True, True, False], SCORES / 2, -np.inf)

FIGURES = {
    "minimap": lambda: architecture.minimap("cross-attention"),
    "minimap all": lambda: architecture.minimap("all"),
    "transformer": lambda: architecture.transformer(),
    "transformer pre-norm": lambda: architecture.transformer(norm_first=True),
    "stack": lambda: architecture.stack(6),
    "stack of 1": lambda: architecture.stack(1),
    "wirings": wirings,
    "cross_attention": lambda: mechanism.cross_attention(),
    "self_attention": lambda: mechanism.self_attention(),
    "heads": lambda: mechanism.heads(),
    "descent": lambda: mechanism.descent(
        lambda w: (2 * w - 6) ** 2, [0.0, 2.4, 2.88, 2.976, 2.995], (-0.5, 6.0)
    ),
    "backward": lambda: mechanism.backward(
        {"input": 2.0, "w1": 0.5, "hidden": 1.0, "w2": 4.0, "prediction": 4.0, "loss": 4.0},
        {"w1": -32.0, "hidden": -16.0, "w2": -4.0, "prediction": -4.0},
    ),
    "next_word": lambda: mechanism.next_word(["<bos>", "the", "dog", "sleeps", ".", "<eos>"]),
    "next_word long": lambda: mechanism.next_word(["<bos>", *ENGLISH[2:], "<eos>"]),
    "pre_post_norm": lambda: architecture.pre_post_norm(),
    "decoder_layer": lambda: architecture.decoder_layer(),
    "first_look": lambda: architecture.first_look(WORDS, ENGLISH[:3], ENGLISH[3]),
    "residual_road": lambda: architecture.residual_road(),
    "attention_map": lambda: pictures.attention_map(
        shares(8, 9), WORDS, ENGLISH, {(0, 2)}, title="x"
    ),
    "attention_maps": lambda: pictures.attention_maps(
        shares(4, 8, 9), WORDS, ENGLISH, list("abcd")
    ),
    "attention_map, rows named": lambda: pictures.attention_map(
        shares(8, 9), WORDS, ENGLISH, title="x", rows="about to write"
    ),
    "attention_map, short words": lambda: pictures.attention_map(
        np.eye(3), list("abc"), list("xyz"), title="x", rows="has just read"
    ),
    "attention_maps, rows named": lambda: pictures.attention_maps(
        shares(4, 8, 9), WORDS, ENGLISH, list("abcd"), rows="about to write"
    ),
    "attention_steps": lambda: pictures.attention_steps(
        SCORES, SCORES / 2, MASKED, shares(3, 5), WORDS[:5], ENGLISH[:3]
    ),
    "grids": lambda: pictures.grids({"Q": SCORES, "K": SCORES * 2}, row_labels=list("abc")),
    "grids, each on its own": lambda: pictures.grids(
        {"Q": SCORES, "K": np.eye(3), "nothing": np.zeros((3, 1))}, list("abc"), alike=False
    ),
    "mask_grid": lambda: pictures.mask_grid(
        {"a": np.tri(3) > 0, "b": np.ones((3, 4))}, [list("abc"), list("abcd")], [list("xyz")] * 2
    ),
    "positions": lambda: pictures.positions(sinusoidal_positions(32, 16)),
    "lines": lambda: pictures.lines(
        {"one": ([1, 2], [1, 2]), "other": ([1, 2], [2.01, 2])}, "x", "y", ("base", 2.0)
    ),
    "bars": lambda: pictures.bars({"a": 1.0, "a long name": 0.2}, "share", highlight="a"),
    "bars of a role": lambda: pictures.bars({"a": 0.4, "b": 0.2}, "share", "a", role="encoder"),
    "paired_bars": lambda: pictures.paired_bars(
        {
            "right word": {"verb": (0.18, 0.04), "a long name": (1.0, 0.0)},
            "right form": {"verb": (0.81, 0.26), "a long name": (0.92, 1.0)},
        },
        ("encoder", "both neighbours"),
        role="encoder",
    ),
    "pre_post_norm, with names": lambda: architecture.pre_post_norm(
        "self-attention", "feed-forward"
    ),
    "dots": lambda: pictures.dots({"a": [1.0, -0.2, 0.4], "a long name": [3, 2, 2.5]}, "change"),
    "processes": lambda: architecture.processes(),
    "parallel_step": lambda: architecture.parallel_step(),
    "readers": lambda: architecture.readers(),
    "whisper": lambda: architecture.elsewhere("Whisper"),
    "stable diffusion": lambda: architecture.elsewhere("Stable Diffusion"),
    "perceiver": lambda: architecture.elsewhere("Perceiver"),
    "flamingo": lambda: architecture.elsewhere("Flamingo"),
    "bars, each line ten times as much": lambda: pictures.bars(
        {"a": 81.0, "a long name": 2.5e7}, "scores", log=True
    ),
    "spectrogram": lambda: sound.spectrogram(RNG.random((80, 400)), 4.0, SPOKEN),
    "attention_to_sound": lambda: sound.attention_to_sound(
        RNG.random((80, 400)), shares(5, 200), ["the", "dog", "is", "$", "<eos>"], 4.0, SPOKEN
    ),
    "heads_over_sound": lambda: sound.heads_over_sound(
        {f"{i // 6}.{i % 6} · 0.00 s": shares(5, 200) for i in range(24)}, 4.0, {"0.1 · 0.00 s"}
    ),
    "words_kept": lambda: sound.words_kept(RNG.random((8, 5)) < 0.7, SPOKEN, 4.0, 0.5),
    "pictures": lambda: pictures.image_grid(
        RNG.random((5, 3, 8, 8)), ["a large red ring left of a small blue square"] * 5
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
    with rc_context(STYLE):
        texts_do_not_collide(figure)


def test_the_legibility_check_refuses_overlap_and_cut():
    overlapping = Figure(figsize=(4, 2))
    for _ in range(2):
        overlapping.text(0.5, 0.5, "on top of each other")
    with pytest.raises(AssertionError, match="overlap"):
        texts_do_not_collide(overlapping)
    cut = Figure(figsize=(4, 2))
    cut.text(0.9, 0.5, "too far to the right")
    with pytest.raises(AssertionError, match="is cut"):
        texts_do_not_collide(cut)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: architecture.minimap("encodr"), "lit must be among .*got 'encodr'"),
        (lambda: architecture.elsewhere("wisper"), "name must be among .*got 'wisper'"),
        (lambda: architecture.stack(0), "num_layers must be at least 1"),
        (lambda: mechanism.heads(3, 8), "must be divisible"),
        (lambda: mechanism.descent(lambda w: w, [0.0], (0, 1)), "at least 2 values, got 1"),
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
