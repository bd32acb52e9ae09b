"""pictures/maps.py: what a map counts; how all of them look is in test_every_figure.py."""

from matplotlib.colors import to_hex

from helpers.pictures.maps import cache_growth
from helpers.pictures.style import CROSS, DECODER, png


def test_cache_growth_counts_what_is_computed_and_kept():
    figure = cache_growth({"self": ([[2, 0], [1, 2]], ["a", "b"]), "cross": ([[2], [1]], ["x"])})
    png(figure)
    assert figure.alt.endswith("self: 2 computed, 1 kept, cross: 1 computed, 1 kept.")


def test_cache_growth_gives_self_attention_the_decoders_colour():
    figure = cache_growth({"self": ([[2]], ["a"]), "cross": ([[2]], ["x"])})
    own, across = (to_hex(axes.images[0].cmap(1.0)).upper() for axes in figure.axes)
    assert (own, across) == (DECODER, CROSS)
