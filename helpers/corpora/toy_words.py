"""The words of the embedded corpus: German forms beside their English ones.

Tables only; the grammar that uses them is `toy.py`. Left out on purpose, because the English
would not be a function of the German: "sie" (she, they, her), and words with two translations.
"""

from typing import NamedTuple


class Noun(NamedTuple):
    gender: str  # m, f, n
    singular: str
    plural: str
    english: str
    english_plural: str
    kind: str  # person, animal, thing, text, food, door


class Adjective(NamedTuple):
    stem: str
    english: str
    kinds: tuple[str, ...]  # of nouns that it may describe


class Verb(NamedTuple):
    """One German verb, all its forms that the grammar needs, and its English counterpart."""

    first: str  # ich …
    third: str  # er …
    plural: str  # wir …
    infinitive: str
    participle: str
    particle: str  # of a separable verb: "an" in "ruft … an"; else empty
    english: str  # base form; may be two words
    english_third: str
    english_past: str
    subjects: tuple[str, ...]
    objects: tuple[str, ...]  # empty: intransitive
    frame: str  # accusative, dative, both (dative and accusative), none


def _noun(line: str, kind: str) -> Noun:
    gender, german, german_plural, english, english_plural = line.split()
    return Noun(gender, german, german_plural, english, english_plural, kind)


NOUNS = tuple(
    _noun(line, kind)
    for kind, lines in {
        "person": """m Mann Männer man men; f Frau Frauen woman women; n Kind Kinder child children;
            n Mädchen Mädchen girl girls; m Lehrer Lehrer teacher teachers;
            m Freund Freunde friend friends; f Schwester Schwestern sister sisters;
            m Bruder Brüder brother brothers; m Arzt Ärzte doctor doctors;
            f Königin Königinnen queen queens""",
        "animal": """m Hund Hunde dog dogs; f Katze Katzen cat cats; n Pferd Pferde horse horses;
            m Vogel Vögel bird birds; f Maus Mäuse mouse mice""",
        "thing": """m Ball Bälle ball balls; n Auto Autos car cars; m Schlüssel Schlüssel key keys;
            f Tasche Taschen bag bags; f Lampe Lampen lamp lamps; m Stuhl Stühle chair chairs;
            m Hut Hüte hat hats; f Jacke Jacken jacket jackets""",
        "text": """n Buch Bücher book books; m Brief Briefe letter letters;
            f Zeitung Zeitungen newspaper newspapers; n Gedicht Gedichte poem poems""",
        "food": """m Apfel Äpfel apple apples; m Kuchen Kuchen cake cakes; n Ei Eier egg eggs;
            f Birne Birnen pear pears""",
        "door": """f Tür Türen door doors; n Fenster Fenster window windows;
            f Kiste Kisten box boxes; m Schrank Schränke cupboard cupboards""",
    }.items()
    for line in lines.split(";")
)
_LIVING, _LIFELESS = ("person", "animal"), ("thing", "text", "food", "door")
_ANY = (*_LIVING, *_LIFELESS)
ADJECTIVES = (
    Adjective("klein", "little", _ANY),
    Adjective("groß", "big", _ANY),
    Adjective("alt", "old", (*_LIVING, "thing", "text", "door")),
    Adjective("jung", "young", _LIVING),
    Adjective("müd", "tired", _LIVING),
    Adjective("nett", "nice", ("person",)),
    Adjective("schnell", "fast", ("animal",)),
    Adjective("neu", "new", ("thing", "text", "door")),
    Adjective("rot", "red", ("thing", "food", "door")),
    Adjective("grün", "green", ("thing", "food", "door")),
    Adjective("schwarz", "black", ("animal", "thing", "door")),
    Adjective("schön", "beautiful", ("animal", "thing", "text", "door")),
    Adjective("lang", "long", ("text",)),
    Adjective("süß", "sweet", ("food",)),
)


def _verb(line: str, subjects: tuple[str, ...], objects: tuple[str, ...], frame: str) -> Verb:
    first, third, plural, infinitive, participle, particle, *english = line.split()
    base, third_en, past = (form.replace("_", " ") for form in english)
    forms = (first, third, plural, infinitive, participle, particle.strip("-"))
    return Verb(*forms, base, third_en, past, subjects, objects, frame)


_PERSON = ("person",)
VERBS = tuple(
    _verb(*row)
    for row in (
        ("sehe sieht sehen sehen gesehen - see sees saw", _LIVING, _ANY, "accusative"),
        ("finde findet finden finden gefunden - find finds found", _LIVING, _ANY, "accusative"),
        ("suche sucht suchen suchen gesucht - seek seeks sought", _LIVING, _ANY, "accusative"),
        ("liebe liebt lieben lieben geliebt - love loves loved", _LIVING, _LIVING, "accusative"),
        ("höre hört hören hören gehört - hear hears heard", _LIVING, _LIVING, "accusative"),
        ("male malt malen malen gemalt - paint paints painted", _PERSON, _ANY, "accusative"),
        ("frage fragt fragen fragen gefragt - ask asks asked", _PERSON, _PERSON, "accusative"),
        (
            "besuche besucht besuchen besuchen besucht - visit visits visited",
            *(_PERSON, _PERSON, "accusative"),
        ),
        ("kaufe kauft kaufen kaufen gekauft - buy buys bought", _PERSON, _LIFELESS, "accusative"),
        (
            "verliere verliert verlieren verlieren verloren - lose loses lost",
            *(_PERSON, ("thing", "text"), "accusative"),
        ),
        (
            "vergesse vergisst vergessen vergessen vergessen - forget forgets forgot",
            *(_PERSON, ("thing", "text", "food"), "accusative"),
        ),
        (
            "brauche braucht brauchen brauchen gebraucht - need needs needed",
            *(_PERSON, _LIFELESS, "accusative"),
        ),
        (
            "trage trägt tragen tragen getragen - carry carries carried",
            *(_PERSON, ("thing", "text", "food"), "accusative"),
        ),
        (
            "wasche wäscht waschen waschen gewaschen - wash washes washed",
            *(_PERSON, ("animal", "thing", "food"), "accusative"),
        ),
        ("lese liest lesen lesen gelesen - read reads read", _PERSON, ("text",), "accusative"),
        (
            "schreibe schreibt schreiben schreiben geschrieben - write writes wrote",
            *(_PERSON, ("text",), "accusative"),
        ),
        ("esse isst essen essen gegessen - eat eats ate", _PERSON, ("food",), "accusative"),
        ("rufe ruft rufen anrufen angerufen an call calls called", _PERSON, _PERSON, "accusative"),
        (
            "lade lädt laden einladen eingeladen ein invite invites invited",
            *(_PERSON, _PERSON, "accusative"),
        ),
        (
            "schaue schaut schauen anschauen angeschaut an watch watches watched",
            *(_PERSON, _LIVING, "accusative"),
        ),
        (
            "mache macht machen aufmachen aufgemacht auf open opens opened",
            *(_PERSON, ("door", "text"), "accusative"),
        ),
        (
            "mache macht machen zumachen zugemacht zu close closes closed",
            *(_PERSON, ("door", "text"), "accusative"),
        ),
        (
            "packe packt packen einpacken eingepackt ein pack packs packed",
            *(_PERSON, ("thing", "text", "food"), "accusative"),
        ),
        ("helfe hilft helfen helfen geholfen - help helps helped", _PERSON, _LIVING, "dative"),
        ("danke dankt danken danken gedankt - thank thanks thanked", _PERSON, _PERSON, "dative"),
        ("gebe gibt geben geben gegeben - give gives gave", _PERSON, _LIFELESS[:3], "both"),
        ("zeige zeigt zeigen zeigen gezeigt - show shows showed", _PERSON, _LIFELESS, "both"),
        (
            "bringe bringt bringen bringen gebracht - bring brings brought",
            *(_PERSON, _LIFELESS[:3], "both"),
        ),
        ("lache lacht lachen lachen gelacht - laugh laughs laughed", _PERSON, (), "none"),
        ("schlafe schläft schlafen schlafen geschlafen - sleep sleeps slept", _LIVING, (), "none"),
        ("singe singt singen singen gesungen - sing sings sang", _PERSON, (), "none"),
        (
            "arbeite arbeitet arbeiten arbeiten gearbeitet - work works worked",
            *(_PERSON, (), "none"),
        ),
        ("warte wartet warten warten gewartet - wait waits waited", _LIVING, (), "none"),
        ("tanze tanzt tanzen tanzen getanzt - dance dances danced", _PERSON, (), "none"),
    )
)

# German, English, and the tenses that they go with.
TIMES = (
    ("heute", "today", ("present", "perfect", "modal")),
    ("jetzt", "now", ("present", "modal")),
    ("gestern", "yesterday", ("perfect",)),
    ("morgen", "tomorrow", ("modal",)),
    ("am Abend", "in the evening", ("present", "perfect", "modal")),
    ("am Montag", "on Monday", ("present", "perfect", "modal")),
    ("im Sommer", "in summer", ("present", "perfect", "modal")),
)
PLACES = (
    ("im Garten", "in the garden"),
    ("im Park", "in the park"),
    ("in der Küche", "in the kitchen"),
    ("in der Stadt", "in the town"),
    ("auf dem Markt", "at the market"),
    ("am Fluss", "at the river"),
    ("hier", "here"),
)

# German first, third, plural; English third (base in other persons), and whether "to" follows.
MODALS = (
    ("kann", "kann", "können", "can", "can"),
    ("muss", "muss", "müssen", "must", "must"),
    ("soll", "soll", "sollen", "should", "should"),
    ("will", "will", "wollen", "want to", "wants to"),
)

# Verbs that a dass-clause follows.
SAYING = (
    ("sage", "sagt", "sagen", "say", "says"),
    ("weiß", "weiß", "wissen", "know", "knows"),
    ("glaube", "glaubt", "glauben", "believe", "believes"),
    ("hoffe", "hofft", "hoffen", "hope", "hopes"),
)
