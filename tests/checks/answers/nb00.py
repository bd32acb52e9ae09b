RIGHT = {
    "check_three_parts": [
        ("encoder", "decoder", "cross-attention"),
        ["Decoder", "Encoder", "Cross Attention"],
        {"the encoder", "the decoder", "the cross-attention"},
        "Encoder, decoder and cross-attention",
        "ENCODER DECODER CROSS",
        ("encoder", "decoder", "encoder-decoder attention"),
    ],
    "check_row": ["ruft", ("ruft",), ["Ruft"], {"RUFT"}, "ruft."],
    "check_turned": [
        "den hund sucht das mädchen",
        "Den Vogel sieht das Pferd.",
        "Den Hut kauft mein Bruder.",
        "Den Schlüssel findet mein Freund",
    ],
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
        ("calls", "rows are English"),
        (("ruft", "an"), "once more"),
        ("ruft an", "once more"),
        ("an", "other half"),
        (("Arzt",), "find the row"),
        ((1, 7), "words are needed"),
    ],
    "check_turned": [
        ("Den Apfel isst mein Bruder.", "write another"),
        ("den apfel isst mein bruder", "write another"),
        ("Der Arzt sucht den Hut.", "not from the end"),
        ("Gestern hat die Frau das Buch gefunden.", "not from the end"),
        ("Schläft der Hund?", "write another"),
        ("The dog sleeps.", "looks like English"),
        ("Den Astronaut sieht das Kind.", "does not know"),
        ("", "no word"),
        (7, "in quotes"),
        (("Den", "Ball"), "in quotes"),
    ],
}
