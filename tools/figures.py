"""The drawings as files: SVG for slides and sheets in build/figures, and the README's picture."""

from pathlib import Path

import torch
from matplotlib import rc_context
from matplotlib.figure import Figure

from helpers.corpora.toy import RUNNING
from helpers.masks import causal_mask, padding_mask
from helpers.pictures import architecture, mask_grid, mechanism
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


FIGURES = {
    "map": lambda: architecture.minimap("all"),
    "first_look": lambda: architecture.first_look(
        RUNNING.source, RUNNING.target[:3], RUNNING.target[3]
    ),
    "transformer_post_norm": architecture.transformer,
    "transformer_pre_norm": lambda: architecture.transformer(norm_first=True),
    "stack": architecture.stack,
    "self_attention": mechanism.self_attention,
    "cross_attention": mechanism.cross_attention,
    "heads": mechanism.heads,
    "descent": lambda: mechanism.descent(
        lambda w: (2 * w - 6) ** 2, [0.0, 2.4, 2.88, 2.976], span=(-0.5, 6.0)
    ),
    "next_word": lambda: mechanism.next_word(["<bos>", "the", "dog", "sleeps", ".", "<eos>"]),
    "masks": masks,
    "pre_and_post_norm": architecture.pre_post_norm,
    "residual_road": architecture.residual_road,
    "elsewhere": lambda: architecture.elsewhere("Flamingo"),
    "decoding_step": lambda: mechanism.decoding_step(
        ["<bos>", *RUNNING.target[:3]], RUNNING.target[3], [*RUNNING.source, "<eos>"]
    ),
    "processes": architecture.processes,
    "parallel_step": architecture.parallel_step,
    "readers": architecture.readers,
    "wirings": wirings,
}


def save(folder: Path = FOLDER) -> None:
    """Write every figure as SVG, with its description inside; the same bytes each time."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        figure = draw()
        with rc_context({"svg.hashsalt": name}):
            about = {"Title": name.replace("_", " "), "Description": figure.alt, "Date": None}
            figure.savefig(folder / f"{name}.svg", metadata=about)


def main() -> None:
    save()
    (ROOT / "docs" / "transformer.png").write_bytes(png(architecture.transformer()))
    print(f"{len(FIGURES)} drawings in {FOLDER.relative_to(ROOT)}/, and docs/transformer.png")


if __name__ == "__main__":
    main()
