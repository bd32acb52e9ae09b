RIGHT = {
    "check_three_parts": [
        ("encoder", "decoder", "cross-attention"),
        ["Decoder", "Encoder", "Cross Attention"],
        {"the encoder", "the decoder", "the cross-attention"},
        "Encoder, decoder and cross-attention",
        "ENCODER DECODER CROSS",
        ("encoder", "decoder", "encoder-decoder attention"),
    ],
    "check_row": [
        ("gefunden", "hat"),
        ["Hat", "GEFUNDEN"],
        {"hat", "gefunden"},
        "hat gefunden",
        "hat, gefunden.",
        "hat … gefunden",
    ],
    "check_order": [7, 7.0, "7", (7,), [7]],
}

WRONG = {
    "check_three_parts": [
        (("encoder", "decoder"), "what connects"),
        (("encoder", "cross-attention"), "what writes"),
        (("decoder", "cross-attention"), "what reads"),
        ("encoder-decoder attention", "what reads"),
        (("encoder", "decoder", "cross-attention", "tokenizer"), "three names are enough"),
        ((1, 2, 3), "words are needed"),
        (3, "words are needed"),
        ((), "what reads"),
    ],
    "check_row": [
        (("dog",), "rows are English"),
        (("found",), "rows are English"),
        (("der", "Ball"), "find the row"),
        (("hat",), "further to the right"),
        ("gefunden", "a second one"),
        ((1, 7), "words are needed"),
    ],
    "check_order": [
        (1, "word by word"),
        (0, "count from 1"),
        (6, "if you count from 0"),
        (8, "full stop"),
        (4, "yesterday"),
        (7.9, "yesterday"),
        ("seven", "one number"),
        ((7, 1), "one number"),
    ],
}
