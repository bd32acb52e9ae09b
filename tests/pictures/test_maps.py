"""pictures/maps.py: what a map counts; how all of them look is in test_every_figure.py."""

from helpers.pictures.maps import cache_growth
from helpers.pictures.style import png


def test_cache_growth_counts_what_is_computed_and_kept():
    figure = cache_growth({"self": ([[2, 0], [1, 2]], ["a", "b"]), "cross": ([[2], [1]], ["x"])})
    png(figure)
    assert figure.alt.endswith("self: 2 computed, 1 kept, cross: 1 computed, 1 kept.")
