RIGHT = {
    "check_without_cross": [
        (1, "encoder"),
        [1, "the Encoder"],
        (1.0, ("encoder",)),
        ("1", "Encoder."),
        "1, encoder",
        "1 and the encoder",
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
    "check_without_cross": [
        ((100, "encoder"), "how would the decoder know"),
        ((0, "encoder"), "will write something"),
        ((50, "encoder"), "what could differ"),
        ((1, "decoder"), "is what writes"),
        ((1, "cross-attention"), "is gone"),
        ((1, "memory"), "which of the three"),
        (1, "a number and a name"),
        ((1, "encoder", "decoder"), "a number and a name"),
        (("encoder", 1), "one number is needed"),
        ((1, 2), "words are needed"),
        ({1, "encoder"}, "a number and a name"),
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
