"""Checks for the exercises of notebook 01 (self-attention)."""

import numpy as np

from helpers.checks import NotAttempted, Wrong, ask, attempted, close, exercise, expect

EFFECTS = {
    "add 100 to all scores": "same",
    "multiply all scores by 2": "sharper",
    "divide all scores by 2": "flatter",
}
HINTS = {
    "add 100 to all scores": "softmax sees only the differences between scores; what does a shift "
    "do to them?",
    "multiply all scores by 2": "all differences grow by the factor 2; who gains, the largest "
    "score or the others?",
    "divide all scores by 2": "all differences shrink; that is what the division by √d_k does",
}
# The scaled scores of "der", and the words and keys that notebook 01 wires by hand.
ROW = np.array([0.0, 2.0, 2.0, 2.0, 4.0])
X = np.array(
    [
        [0, 1, 1, 0, 0, 1],
        [0, 1, 0, 0, 0, 0],
        [1, 0, 1, 1, 0, 0],
        [1, 0, 1, 0, 1, 0],
        [1, 0, 0, 0, 0, 0],
    ]
)
W_K = np.array(
    [[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, -1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
)
WORDS = ("gestern", "hat", "der", "kleine", "Hund")
KINDS = np.array([0, 1, 2, 2, 3])  # der and kleine are of one kind


def softmax(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """Stable softmax along `axis`."""
    exponentials = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


@exercise("1.1")
def check_predictions(answer: dict) -> str:
    """{change of the scores: "same", "sharper" or "flatter"}."""
    if not isinstance(answer, dict) or set(answer) != set(EFFECTS):
        raise Wrong(f"keep the dictionary with the keys {', '.join(map(repr, EFFECTS))}")
    if any(effect is ... or effect is None for effect in answer.values()):
        raise NotAttempted
    for change, effect in answer.items():
        if effect not in EFFECTS.values():
            raise Wrong(f'{change}: answer "same", "sharper" or "flatter", got {effect!r}')
        if effect != EFFECTS[change]:
            raise Wrong(f"{change}: not {effect!r}; {HINTS[change]}")
    return "a shift changes nothing, a factor sharpens or flattens"


@exercise("1.2")
def check_softmax(answer) -> str:
    """A stable softmax along the last axis."""
    scores = np.random.default_rng(0).standard_normal((2, 3, 5))
    got, right = ask(answer, scores.copy()), softmax(scores)
    if close(got, np.exp(scores)):
        raise Wrong("the exponentials are not divided by their sum yet")
    if close(got, np.exp(scores) / np.exp(scores).sum()):
        raise Wrong("the whole array sums to 1; each row should: sum along the last axis only")
    if close(got, softmax(scores, 0)) or close(got, softmax(scores, 1)):
        raise Wrong("softmax over the wrong axis: use axis=-1, so that each row sums to 1")
    expect(got, right, "the weights differ from exp(score) / sum of exp(scores) of the row")
    with np.errstate(all="ignore"):
        large = np.asarray(ask(answer, np.array([[1000.0, 999.0, 0.0]])), dtype=float)
    if not np.isfinite(large).all():
        raise Wrong("scores of 1000 overflow to nan: subtract the row's largest score first")
    with np.errstate(all="ignore"):
        far = ask(answer, np.array([[1000.0, 999.0], [-1000.0, -1001.0]]))
    if not close(far, softmax(np.array([[1.0, 0.0], [1.0, 0.0]]))):
        raise Wrong(
            "rows of very different size fail: subtract each row's own largest score, "
            "not the largest of the whole array"
        )
    return "stable, and each row sums to 1"


@exercise("1.3")
def check_attention(answer) -> str:
    """softmax(Q Kᵀ / √d_k) V, output and weights."""
    rng = np.random.default_rng(0)
    query, key, value = (rng.standard_normal(s) for s in ((3, 16), (5, 16), (5, 2)))
    got = ask(answer, query.copy(), key.copy(), value.copy())
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong("return two things: the output and the weights")
    output, weights = got
    raw = query @ key.T
    right = softmax(raw / 4)
    if close(output, right) and close(weights, right @ value):
        raise Wrong("output and weights are exchanged: the output comes first")
    if close(weights, right.T):
        raise Wrong("the weights are transposed: rows are queries (T), columns are keys (S)")
    for wrong, message in (
        (softmax(raw), "the scores are not divided by √d_k"),
        (softmax(raw / 16), "the scores are divided by d_k; it should be its square root"),
        (softmax(raw / 4, 0), "softmax over the wrong axis: each row (query) should sum to 1"),
        (softmax(raw) / 4, "√d_k divides the weights; it should divide the scores, before softmax"),
        (raw / 4, "these are the scores; softmax is missing"),
    ):
        if close(weights, wrong):
            raise Wrong(message)
    expect(weights, right, "the weights differ from softmax(Q Kᵀ / √d_k)")
    expect(output, right @ value, "the weights are right; the output should be weights @ value")
    return "output and weights are those of the formula"


@exercise("1.4")
def check_saturation(answer) -> str:
    """The first power of two that saturates the row, and the slope there."""
    got = ask(answer, ROW.copy())
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong("return two numbers: (factor, slope)")
    factor, slope = got
    weight = softmax(4 * ROW).max()
    if close(factor, 2):
        raise Wrong(f"at factor 2 the largest weight is {softmax(2 * ROW).max():.3f}: not enough")
    if not close(factor, 4):
        raise Wrong(
            "the first of 1, 2, 4, 8 … whose largest weight exceeds 0.99 is needed, "
            f"got the factor {factor}"
        )
    if close(slope, weight):
        raise Wrong("this is the largest weight w itself; the slope is w (1 − w)")
    first = softmax(ROW).max()
    if close(slope, first * (1 - first)):
        raise Wrong("this is the slope at factor 1; measure it at the factor that you return")
    if close(slope, 1 - weight, 1e-7):
        raise Wrong("this is 1 − w; the slope is w (1 − w)")
    expect(slope, weight * (1 - weight), "the slope w (1 − w) at factor 4 differs", 1e-7)
    return f"factor 4, and the slope has fallen from {first * (1 - first):.2f} to {slope:.4f}"


@exercise("1.5")
def check_wiring(answer) -> str:
    """A W_Q with which each word looks most at its own kind."""
    matrix = np.asarray(attempted(answer), dtype=float)
    if matrix.shape == (4, 6):
        raise Wrong("the shape should be (6, 4), yours is (4, 6): x @ W_Q maps 6 features to 4")
    expect(matrix, matrix if matrix.shape == (6, 4) else np.zeros((6, 4)), "")
    weights = softmax((X @ matrix) @ (X @ W_K).T / 2)
    if close(weights, np.full((5, 5), 0.2)):
        raise Wrong("every weight is 0.2: these queries ask for nothing")
    if close(matrix / (np.abs(matrix).max() or 1), W_K[:, [0, 1, 3, 2]]):
        raise Wrong("this is the notebook's own W_Q, up to a factor: opposites look for each other")
    own = KINDS[:, None] == KINDS
    for word, row, kin in zip(WORDS, weights, own, strict=True):
        if row[kin].min() <= row[~kin].max() + 1e-9:
            raise Wrong(
                f"{word} looks at {WORDS[int(np.where(kin, -1, row).argmax())]} at least as much "
                "as at its own kind: compare its query with the keys of both"
            )
    return "each word looks most at its own kind"
