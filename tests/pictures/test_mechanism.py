"""pictures/mechanism.py: what a drawing is made from; how it looks is in test_every_figure.py."""

from helpers.pictures.mechanism import beam_tree
from helpers.pictures.style import png


def test_beam_tree_draws_every_hypothesis_and_names_the_best_path():
    steps = [
        [(-0.1, ("a",)), (-2.0, ("b",))],
        [(-0.5, ("a", "$c_1$")), (-2.5, ("b", "d"))],
    ]
    figure = beam_tree(steps, ("a", "$c_1$"))
    png(figure)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == 4 and "-2.50" in texts[3]
    assert len(figure.axes[0].lines) == 2
    assert figure.alt.endswith("the best path reads: a $c_1$.")
