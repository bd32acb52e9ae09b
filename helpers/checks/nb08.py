"""Checks of notebook 08, the wiring."""

from helpers.checks import Wrong, ask, exercise


@exercise("8.1")
def check_arrows(answer):
    """Predict: arrows from encoder to decoder with 6 + 6 layers, and distinct tensors on them."""
    arrows, tensors = (int(x) for x in answer)
    if arrows == 1:
        raise Wrong("the small diagram draws one arrow, but there is a cross-attention per layer")
    if arrows in (12, 36):
        raise Wrong("count decoder layers: each gets one memory, from which it makes K and V")
    if tensors == 6 and arrows == 6:
        raise Wrong("6 tensors would be layer i to layer i; which encoder output travels?")
    if (arrows, tensors) != (6, 1):
        raise Wrong("one arrow into each decoder layer, and the last encoder output on all")
    return "six arrows, one tensor"


@exercise("8.2")
def check_parameter_count(answer):
    """Implement: parameters of a decoder layer for any d_model and d_ff."""
    sizes = ((512, 2048), (16, 24))
    got = [int(ask(answer, *size)) for size in sizes]

    def count(d_model, d_ff, attentions=2, norms=3, biases=1):
        attention = 4 * (d_model * d_model + biases * d_model)
        feed_forward = 2 * d_model * d_ff + biases * (d_model + d_ff)
        return attentions * attention + feed_forward + norms * 2 * d_model

    if got == [count(*s, attentions=1, norms=2) for s in sizes]:
        raise Wrong("this is an encoder layer: a decoder layer has a second attention and a norm")
    if got == [count(*s, biases=0) for s in sizes]:
        raise Wrong("the biases of the linear maps are missing")
    if got == [count(*s, norms=2) for s in sizes]:
        raise Wrong("a decoder layer has three norms, one around each sub-layer")
    if got == [count(*s, norms=0) for s in sizes]:
        raise Wrong("the norms are missing: each has a weight and a bias of d_model numbers")
    if got != [count(*s) for s in sizes]:
        raise Wrong("two attentions, one feed-forward, three norms: add them up")
    return "4,204,032 at the paper's size"


@exercise("8.3")
def check_wiring_test(answer):
    """Break it: a test that tells a right wiring from layer-i-to-layer-i."""
    memory, other, third = object(), object(), object()
    cases = {
        "right": ([memory, memory, memory], memory, True),
        "layer i to layer i": ([other, third, memory], memory, False),
        "the last layer only": ([memory], memory, False),
        "an early encoder layer to all": ([other, other, other], memory, False),
    }
    for name, (received, final, verdict) in cases.items():
        got = ask(answer, received, final, 3)
        if bool(got) != verdict:
            says = "accepts" if got else "rejects"
            raise Wrong(f"your test {says} the wiring '{name}'")
    return "every layer, and the very same object"
