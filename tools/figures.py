"""The drawings as files: SVG for slides and sheets in build/figures, and the README's picture."""

import argparse
import io
import math
from pathlib import Path

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Text

from helpers.corpora.toy import RUNNING
from helpers.layers import sinusoidal_positions
from helpers.masks import causal_mask, padding_mask
from helpers.pictures import architecture, attention_steps, grids, mask_grid, mechanism, positions
from helpers.pictures.style import png
from helpers.pictures.wirings import wirings
from helpers.special_ids import PAD
from tools.notebooks import ROOT

FOLDER = ROOT / "build" / "figures"


def masks() -> Figure:
    """Notebook 03's three: a padded source, a target, and the rectangle between the two."""
    source, target = ["der", "Hund", "schläft", ".", "<pad>"], ["<bos>", "the", "dog", "sleeps"]
    keys = padding_mask(torch.tensor([[5, 6, 7, 8, PAD]]))[0, 0]  # (1, source)
    return mask_grid(
        {
            "padding": keys.expand(len(source), -1),
            "causal": causal_mask(len(target)),
            "cross-attention": keys.expand(len(target), -1),
        },
        [source, target, source],
        [source, target, target],
        ("encoder", "decoder", "cross"),
    )


def by_hand() -> Figure:
    """Notebook 01's first attention: *hat* asks four words, with numbers for a pencil."""
    query = np.array([2.0, 0.0])
    keys = np.array([[0.5, 0.0], [0.0, 2.0], [0.0, 2.0], [2.0, 0.0]])
    values = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    scores = (keys @ query / math.sqrt(2))[:, None]
    weights = np.exp(scores) / np.exp(scores).sum()
    panels = {"query": np.tile(query, (4, 1)), "keys": keys, "scores": scores, "weights": weights}
    panels |= {"values": values, "weight · value": weights * values}
    return grids(panels, row_labels=["hat", "Hund", "Ball", "gefunden"], alike=False)


def steps(crossing: bool) -> Figure:
    """The four steps from scores to weights of notebook 03 or, crossing, of 07, with the same
    random numbers as there. The fifth source token is padding."""
    random = torch.Generator().manual_seed(0)
    query, key = torch.randn(3, 4, generator=random), torch.randn(5, 4, generator=random)
    if crossing:
        w_q, w_k, _ = torch.randn(3, 4, 4, generator=random)
        query, key = query @ w_q, key @ w_k
    raw = query @ key.T
    masked = (raw / 2).masked_fill(~torch.tensor([True, True, True, True, False]), -math.inf)
    source, target = ["s1", "s2", "s3", "s4", "<pad>"], ["t1", "t2", "t3"]
    if not crossing:
        source = ["der", "Hund", "schläft", ".", "<pad>"]
        target = source[:3]
    role = "cross" if crossing else "encoder"
    return attention_steps(raw, raw / 2, masked, masked.softmax(-1), source, target, role)


FIGURES = {
    "map": lambda: architecture.minimap("all"),
    "map_attention": lambda: architecture.minimap("attention"),
    "map_encoder": lambda: architecture.minimap("encoder"),
    "map_decoder": lambda: architecture.minimap("decoder"),
    "map_new_parts": lambda: architecture.minimap(("embedding", "feed-forward")),
    "map_connection": lambda: architecture.minimap(("memory", "cross-attention")),
    "map_decoding": lambda: architecture.minimap(("decoder", "cross-attention")),
    "first_look": lambda: architecture.first_look(
        [*RUNNING.source, "<eos>"], RUNNING.target[:3], RUNNING.target[3]
    ),
    "transformer_post_norm": architecture.transformer,
    "transformer_pre_norm": lambda: architecture.transformer(norm_first=True),
    "stack": architecture.stack,
    "self_attention": mechanism.self_attention,
    "cross_attention": mechanism.cross_attention,
    "heads": mechanism.heads,
    "descent": lambda: mechanism.descent(
        lambda w: (2 * w - 6) ** 2, [0.0, 2.4, 2.88, 2.976, 2.9952, 2.99904], span=(-0.5, 6.0)
    ),
    "backward": lambda: mechanism.backward(
        {"input": 2, "w1": 0.5, "hidden": 1, "w2": 4, "prediction": 4, "loss": 4},
        {"w1": -32, "hidden": -16, "w2": -4, "prediction": -4},
    ),
    "next_word": lambda: mechanism.next_word(["<bos>", "the", "dog", "sleeps", ".", "<eos>"]),
    "next_of_seven": lambda: mechanism.next_word(
        ["<bos>", "the", "dog", "found", "the", "ball", ".", "<eos>"]
    ),
    "by_hand": by_hand,
    "attention_steps": lambda: steps(crossing=False),
    "cross_attention_steps": lambda: steps(crossing=True),
    "positions": lambda: positions(sinusoidal_positions(64, 64)),
    "masks": masks,
    "pre_and_post_norm": architecture.pre_post_norm,
    "residual_road": architecture.residual_road,
    "decoder_layer": architecture.decoder_layer,
    "elsewhere": lambda: architecture.elsewhere("Flamingo"),
    "elsewhere_stable_diffusion": lambda: architecture.elsewhere("Stable Diffusion"),
    "elsewhere_perceiver": lambda: architecture.elsewhere("Perceiver"),
    "decoding_step": lambda: mechanism.decoding_step(
        ["<bos>", *RUNNING.target[:3]], RUNNING.target[3], [*RUNNING.source, "<eos>"]
    ),
    "processes": architecture.processes,
    "parallel_step": architecture.parallel_step,
    "readers": architecture.readers,
    "wirings": wirings,
}


LARGER = (1.4, 1.3, 1.2, 1.1)


def places(figure: Figure) -> np.ndarray:
    """Which labels are inside of which boxes, and which are clear of each label, box and arrow.

    The figure must have been drawn.
    """
    pen = FigureCanvasAgg(figure).get_renderer()
    boxes, lines = [figure.bbox.extents], [np.empty((0, 2))]
    for patch in (patch for axes in figure.axes for patch in axes.patches):
        if isinstance(patch, FancyArrowPatch):
            lines.append(
                patch.get_path().transformed(patch.get_transform()).interpolated(30).vertices
            )
        else:
            boxes.append(patch.get_window_extent(pen).extents)
    points = np.tile(np.concatenate(lines), 2)  # each a box without a size
    room = [-5, -2, 5, 2]
    mine = np.array([extents(label, pen) for label in labels_of(figure)]) + room
    other = np.concatenate([mine, boxes, points])
    left, low, right, high = np.moveaxis(mine[:, None] - other, 2, 0)
    inside = (left >= 0) & (low >= 0) & (right <= 0) & (high <= 0)
    apart = (mine[:, None, :2] > other[:, 2:]) | (mine[:, None, 2:] < other[:, :2])
    return np.stack([inside, apart.any(axis=2)])


def extents(label: Text, pen: RendererBase) -> np.ndarray:
    """A label's box. That of a slanted one is as wide as a line is high, since its neighbours are
    slanted, too."""
    left, low, right, high = label.get_window_extent(pen).extents
    if label.get_rotation() % 90:
        middle, half = (left + right) / 2, 0.7 * pen.points_to_pixels(label.get_fontsize())
        left, right = middle - half, middle + half
    return np.array([left, low, right, high])


def labels_of(figure: Figure) -> list[Text]:
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]


def enlarge(figure: Figure) -> None:
    """Make labels larger, for a hall: all those of one size and weight alike, and as far as each
    stays in its box and clear of the others."""
    FigureCanvasAgg(figure).draw()
    before, alike = places(figure), {}
    for label in labels_of(figure):
        alike.setdefault((label.get_fontsize(), label.get_fontweight()), []).append(label)
    for (size, _), some in alike.items():
        for times in (*LARGER, 1):
            for label in some:
                label.set_fontsize(size * times)
            if (places(figure) == before).all():
                break


def svg(name: str, large: bool = False) -> tuple[bytes, str]:
    """(a drawing as SVG, its description). `large` makes its labels as large as there is room."""
    figure, buffer = FIGURES[name](), io.BytesIO()
    if large:
        enlarge(figure)
    with rc_context({"svg.hashsalt": name}):
        about = {"Title": name.replace("_", " "), "Description": figure.alt, "Date": None}
        figure.savefig(buffer, format="svg", metadata=about)
    return buffer.getvalue(), figure.alt


def save(folder: Path = FOLDER) -> None:
    """Write every figure as SVG, with its description inside; the same bytes each time."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FIGURES:
        (folder / f"{name}.svg").write_bytes(svg(name)[0])


def main() -> None:
    save()
    (ROOT / "docs" / "transformer.png").write_bytes(png(architecture.transformer()))
    print(f"{len(FIGURES)} drawings in {FOLDER.relative_to(ROOT)}/, and docs/transformer.png")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options but --help
    main()
