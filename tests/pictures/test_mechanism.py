"""pictures/mechanism.py: what a drawing is made from; how it looks is in test_every_figure.py."""

from helpers.pictures.mechanism import backward, beam_tree, descent
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


def test_beam_tree_draws_greedys_path_dashed_as_far_as_the_beam_keeps_it():
    steps = [
        [(-0.1, ("a",)), (-2.0, ("b",))],
        [(-0.5, ("a", "c")), (-0.7, ("a", "d"))],
    ]
    figure = beam_tree(steps, ("a", "d"), greedy=("a", "c", "e"))
    png(figure)
    styles = [line.get_linestyle() for line in figure.axes[0].lines]
    assert sorted(styles) == ["-", "-", "--"]
    assert figure.alt.endswith("Greedy's, dashed: a c e.")


def test_beam_tree_says_why_the_search_goes_on_after_the_winners_end():
    steps = [[(-0.1, ("a",)), (-0.2, ("b",))], [(-0.9, ("b", "c"))]]
    for best, notes in ((("a",), 1), (("b", "c"), 0)):
        texts = [text.get_text() for text in beam_tree(steps, best).axes[0].texts]
        assert sum("overtake" in text for text in texts) == notes


def test_descent_draws_the_steps_that_are_long_enough_to_see():
    figure = descent(lambda w: (2 * w - 6) ** 2, [0.0, 2.4, 2.88, 2.976, 2.995], (-0.5, 6.0))
    png(figure)
    assert [text.get_text() for text in figure.axes[0].texts] == ["step 1", "step 2"]
    assert figure.alt.endswith("w goes from 0.00, 2.40, 2.88, 2.98 to 3.00.")
    assert figure.axes[0].get_xlim() == (-0.5, 6.0)
    wild = descent(lambda w: (2 * w - 6) ** 2, [0.0, 7.2, -2.88], (-0.5, 6.0))
    assert wild.axes[0].get_xlim() == (-3.38, 7.7)


def test_backward_writes_each_gradient_with_the_product_that_makes_it():
    values = dict(input=2.0, w1=0.5, hidden=1.0, w2=4.0, prediction=4.0, loss=4.0)
    figure = backward(values, dict(w1=-32.0, hidden=-16.0, w2=-4.0, prediction=-4.0))
    png(figure)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"w1 gets\n2 · (−16) = −32", "w2 gets\n1 · (−4) = −4", "gradient\n−16"} <= set(texts)
    assert figure.alt.endswith("it is −16 at hidden; w2 gets −4 and w1 gets −32.")
