"""Pictures, one call each: `from helpers.pictures import attention_map, show`.

The drawings of the architecture are modules of their own: `architecture` and `mechanism`.
"""

from helpers.pictures.curves import LiveCurve, bars, dots, lines, paired_bars, training_curve
from helpers.pictures.maps import (
    attention_map,
    attention_maps,
    attention_on_image,
    attention_steps,
    cache_growth,
    grids,
    image_grid,
    mask_grid,
    positions,
)
from helpers.pictures.mechanism import beam_tree
from helpers.pictures.style import show

__all__ = [
    "LiveCurve",
    "attention_map",
    "attention_maps",
    "attention_on_image",
    "attention_steps",
    "bars",
    "dots",
    "beam_tree",
    "cache_growth",
    "grids",
    "image_grid",
    "lines",
    "mask_grid",
    "paired_bars",
    "positions",
    "show",
    "training_curve",
]
