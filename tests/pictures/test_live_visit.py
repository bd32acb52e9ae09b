"""The live page in headless Chromium: each section does what it says, by mouse and by keyboard.

That its model computes what torch computes is tested elsewhere; here the page is used as a visitor
uses it. After each test nothing was fetched and nothing complained (fixture `alone`).
"""

import json
import re
import statistics
from pathlib import Path
from urllib.parse import parse_qs, quote

import pytest
import torch

import helpers
from helpers.checkpoints import load_model
from helpers.corpora.toy import RUNNING, vocabulary
from helpers.corpora.toy_order import german_words, seen_in_training
from helpers.pictures.live_page import live_page
from helpers.tokenizer import Tokenizer
from helpers.transformer import Transformer, TransformerConfig
from tests.support import serious
from tools.live_sentences import sentences

pytestmark = pytest.mark.slow

BOOK = "Der Lehrer hat das Buch nicht gelesen."
ENGLISH = "The little dog found the ball yesterday."
EVIL = ["<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "“&lt;$x$”"]


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("live") / "live.html"
    weights = Path(helpers.__file__).parent / "data" / "translator.safetensors"
    live_page(
        load_model(weights),
        Tokenizer(vocabulary()),
        path,
        source_words=german_words(),
        order=seen_in_training(),
        sentences=sentences(),
    )
    return path.read_text(encoding="utf8")


@pytest.fixture
def opened(alone, html):
    """opened(fragment) -> the page, with everything drawn."""

    def open_page(fragment: str = "", width: int = 1280, height: int = 900, **emulated):
        page = alone(html, width, height)
        page.set_default_timeout(10_000)
        if emulated:
            page.emulate_media(**emulated)
        if fragment:
            page.evaluate("f => { location.hash = f; }", fragment)
        page.wait_for_selector("#challenges-root .card")
        page.wait_for_timeout(300)  # the address is written a moment later
        return page

    return open_page


def english(page) -> str:
    return page.text_content("#target")


def now(page) -> str:
    return page.text_content("#bench-now")


def type_in(page, text: str):
    page.fill("#source", text)
    page.wait_for_timeout(250)


def fragment(page) -> dict[str, str]:
    page.wait_for_timeout(300)
    return {k: v[0] for k, v in parse_qs(page.url.partition("#")[2]).items()}


def silence(page, name: str):
    page.get_by_role("button", name=f"Silence {name}", exact=True).click()


# ---- Type ----------------------------------------------------------------------------------


def test_it_opens_with_a_translation(opened):
    page = opened()
    assert page.input_value("#source") == RUNNING.source_text
    assert english(page) == ENGLISH
    assert page.text_content("#verdict") == "That is right."
    assert page.text_content("#size") == "271,168"


def test_what_is_typed_is_translated(opened):
    page = opened()
    type_in(page, "den hund sucht die KATZE")
    assert english(page) == "The cat seeks the dog."
    assert "“hund” was read as “Hund”" in page.text_content("#message")


def test_an_unknown_word_gets_a_suggestion_that_can_be_clicked(opened):
    page = opened()
    type_in(page, "Der Hunt schläft.")
    assert "does not know “Hunt”" in page.text_content("#message")
    assert english(page) == ENGLISH  # the last one that could be read, and the page says so
    assert "last sentence" in page.text_content("#verdict")
    page.locator("#message").get_by_role("button", name="Hund", exact=True).click()
    assert english(page) == "The dog sleeps."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Type a German sentence"),
        ("The dog is in the garden", "looks like English"),
        ("Hund " * 300, "too long"),
        ("Schläft der Hund?", "no sentence began with a word like “schläft”"),
    ],
)
def test_what_cannot_be_read_is_explained(opened, text, says):
    page = opened()
    type_in(page, text)
    assert says in page.text_content("#message")


def test_words_are_completed_by_keyboard(opened):
    page = opened()
    page.fill("#source", "")
    page.locator("#source").press_sequentially("Das Mäd")
    page.wait_for_selector("#completions [role=option]")
    page.keyboard.press("ArrowDown")
    assert page.locator("#completions [aria-selected=true]").text_content() == "Mädchen"
    page.keyboard.press("Enter")
    page.keyboard.type("singt")
    page.keyboard.press("Enter")  # makes no second line
    page.wait_for_timeout(200)
    assert page.input_value("#source") == "Das Mädchen singt"
    assert english(page) == "The girl sings."
    page.keyboard.type(" n")
    page.keyboard.press("Escape")
    assert page.locator("#completions").is_hidden()


def test_every_offered_sentence_is_right_but_for_the_failure(opened):
    page = opened(reduced_motion="reduce")
    buttons = page.locator("#sentences button")
    verdicts = []
    for i in range(buttons.count()):
        buttons.nth(i).click()
        verdicts.append(page.text_content("#verdict"))
    assert verdicts[:-1] == ["That is right."] * 11
    assert verdicts[-1].startswith("That is wrong.")


# ---- Watch ---------------------------------------------------------------------------------


def test_stepping_shows_what_is_expected_next(opened):
    page = opened()
    assert page.locator("#bars button").count() == 5
    assert page.text_content("#expects") == "What comes after “the little dog”?"
    page.get_by_role("button", name="Step ▶").click()
    assert page.locator("#written [aria-current=step]").text_content() == "the"
    assert page.text_content("#expects") == "What comes after “… little dog found”?"
    page.get_by_role("button", name="◀ Back").click()
    assert page.locator("#bars [aria-pressed=true] .bar-word").text_content() == "found"


def test_playing_writes_word_by_word_to_the_end(opened):
    page = opened("s=Er+singt.")
    page.get_by_role("button", name="Play").click()
    assert page.locator("#written button").all_text_contents() == ["he", "·", "·", "·"]
    page.get_by_role("button", name="Pause").click()
    assert "·" not in page.locator("#written").text_content()
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('#play').textContent.includes('Play')")
    assert page.locator("#written [aria-current=step]").text_content() == "<eos>"


def test_another_word_changes_the_rest(opened):
    page = opened()
    page.locator("#bars button", has_text="packs").click()
    assert english(page) == "The little dog packs the ball yesterday."
    assert fragment(page)["force"] == "the little dog packs"
    page.get_by_role("button", name="Undo", exact=True).click()
    assert english(page) == ENGLISH
    page.locator("#bars button", has_text="packs").click()
    page.get_by_role("button", name="Let the model choose again").click()
    assert english(page) == ENGLISH


def test_a_temperature_draws_and_can_be_repeated(opened):
    page = opened()
    page.locator("#temperature").fill("1.5")
    first = english(page)
    page.get_by_role("button", name="Draw again").click()
    second = english(page)
    again = opened("s=" + quote(RUNNING.source_text) + "&temperature=1.5")
    assert english(again) == first != second


# ---- Look ----------------------------------------------------------------------------------


def test_two_words_for_found_are_seen_at_a_glance(opened):
    page = opened()
    found = page.locator(".finds").all_text_contents()
    assert [f.split()[0] for f in found] == ["“gefunden”", "“gefunden”", "“gefunden”", "“hat”"]
    assert "“gefunden” (75%), “hat” (25%)" in page.text_content("#look .says")


def test_pointing_shows_and_clicking_keeps(opened):
    page = opened()
    page.locator(".queries button", has_text="ball").hover()
    assert "“Ball”" in page.text_content("#look .says")
    page.mouse.move(5, 5)
    assert "“gefunden”" in page.text_content("#look .says")
    page.locator(".queries button", has_text="ball").click()
    page.mouse.move(5, 5)
    assert "“Ball”" in page.text_content("#look .says")
    assert page.locator("#written [aria-current=step]").text_content() == "ball"


def test_maps_layers_and_heads_are_chosen(opened):
    page = opened()
    page.get_by_label("Head", exact=True).select_option(label="4")
    assert "head 4 looks at “hat”" in page.text_content("#look .says")
    page.get_by_label("Map", exact=True).select_option("encoder")
    assert page.locator(".queries button").count() == 10
    page.get_by_label("Map", exact=True).select_option("decoder")
    assert page.locator(".keys li").first.text_content().startswith("<bos>")
    page.get_by_label("Layer", exact=True).select_option(label="1")
    assert "All heads of layer 1" in page.text_content("#look h3")


def test_gold_links_are_outlined_where_they_fit(opened):
    page = opened()
    page.get_by_label("Show which words belong together").check()
    assert page.locator(".keys .gold span").all_text_contents() == ["hat", "gefunden"]
    type_in(page, "Er singt.")
    assert page.get_by_label("Show which words belong together").is_hidden()


# ---- Open ----------------------------------------------------------------------------------


def test_a_part_of_the_machine_opens_and_stays_in_the_link(opened):
    page = opened()
    page.locator("#machine button", has_text="cross-attention").first.click()
    assert fragment(page)["part"]


# ---- Operate -------------------------------------------------------------------------------


def test_a_silenced_head_changes_the_tense_and_can_be_undone(opened):
    page = opened("s=" + quote(BOOK))
    silence(page, "cross-attention, layer 2, head 4")
    assert now(page) == "The teacher does not read the book."
    assert page.locator("#bench-now ins").all_text_contents() == ["does"]
    assert page.locator("#bench-before del").all_text_contents() == ["did"]
    assert "layer 2, head 4 silenced" in page.text_content("#bench-what")
    page.get_by_role("button", name="Undo", exact=True).click()
    assert now(page) == "The teacher did not read the book."


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("Cut layer 1", "The dog found the ball yesterday."),
        ("Cut all", "The big called my teachers."),
        ("One average vector", "The little the queen yesterday."),
        ("Read backwards", "The little dog found the little ball yesterday."),
    ],
)
def test_one_click_operations(opened, name, becomes):
    page = opened()
    button = page.get_by_role("button", name=name, exact=True)
    button.click()
    assert now(page) == becomes
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert now(page) == ENGLISH


def test_the_translation_follows_the_memory(opened):
    page = opened()
    page.get_by_label("Whose memory the decoder reads").select_option("Jetzt schläft das Kind.")
    assert now(page) == "The child sleeps now."
    assert page.locator(".keys li").first.text_content().startswith("jetzt")


def test_one_drag_of_the_blur_is_one_undo(opened):
    page = opened()
    for value in ("0.5", "0.7", "0.9"):
        page.locator("#blur").fill(value)
    assert now(page) != ENGLISH
    page.get_by_role("button", name="Undo", exact=True).click()
    assert now(page) == ENGLISH
    assert page.input_value("#blur") == "0"


def test_a_word_is_hidden_and_moved(opened):
    page = opened()
    words = page.locator(".word-choices button")
    words.nth(3).click()
    page.get_by_role("button", name="Hide", exact=True).click()
    assert now(page) == "The dog found the ball yesterday."
    page.get_by_role("button", name="Move left").click()
    assert words.all_text_contents()[:4] == ["gestern", "hat", "kleine", "der"]
    assert fragment(page)["move"] == "4-3" and fragment(page)["hide"] == "4"
    assert page.locator(".word-choices .hidden-word").text_content() == "kleine"
    page.get_by_role("button", name="Undo all").click()
    assert now(page) == ENGLISH


def test_positions_can_be_taken_away(opened):
    page = opened("s=" + quote("Den Hund sucht die Katze."))
    page.get_by_role("button", name="In the German").click()
    assert now(page) == "The dog seeks the dog."


def test_rewiring_wants_a_prediction_first(opened):
    page = opened()
    assert page.get_by_role("button", name="predict first").is_disabled()
    page.get_by_role("button", name="Nothing changes").click()
    page.get_by_role("button", name="See what happens").click()
    assert "You were right." in page.text_content("#operate-root")


# ---- Challenges ----------------------------------------------------------------------------


def test_every_challenge_can_be_solved_and_is_not_solved_at_the_start(opened):
    page = opened()
    cards = page.locator("#challenges-root .card")
    assert cards.count() == 8
    for i in range(8):
        cards.nth(i).get_by_role("button", name="Start").click()
        assert "Solved" not in cards.nth(i).locator(".says").text_content()
        cards.nth(i).get_by_role("button", name="Show me").click()
        assert cards.nth(i).locator(".says").text_content().startswith("✓ Solved.")
    assert "8 of 8 solved." in page.text_content("#challenges-root")


def test_a_challenge_is_solved_by_hand(opened):
    page = opened()
    card = page.locator("[data-task=tense]")
    card.get_by_role("button", name="Start").click()
    silence(page, "cross-attention, layer 1, head 1")
    assert "still in the past" in page.text_content("#bench-task")
    page.get_by_role("button", name="Undo", exact=True).click()
    silence(page, "cross-attention, layer 2, head 4")
    assert page.text_content("#bench-task").startswith("✓ Solved")


# ---- Share ---------------------------------------------------------------------------------


def test_the_link_brings_everything_back(opened):
    page = opened("s=" + quote(BOOK))
    silence(page, "encoder self-attention, layer 2, head 3")
    page.get_by_role("button", name="Cut layer 2").click()
    page.locator("#blur").fill("0.4")
    page.get_by_label("Map", exact=True).select_option("encoder")
    page.locator(".queries button", has_text="Buch").click()
    page.get_by_label("Head", exact=True).select_option(label="2")
    kept, says = fragment(page), page.text_content("#look .says")
    again = opened(page.url.partition("#")[2])
    assert fragment(again) == kept
    assert now(again) == now(page)
    assert again.text_content("#look .says") == says
    assert kept["silence"] == "e2.3" and kept["cut"] == "2" and kept["blur"] == "40"


def test_a_changed_address_changes_the_page(opened):
    page = opened()
    page.evaluate("location.hash = 's=Er+singt.'")
    page.wait_for_timeout(200)
    assert english(page) == "He sings."


def test_the_link_is_copied_and_pictures_are_saved(opened, tmp_path):
    page = opened()
    page.evaluate("navigator.clipboard.writeText = async (t) => { window.copied = t; }")
    page.get_by_role("button", name="Copy link").click()
    assert page.text_content("#shared") == "The link is copied."
    assert "s=Gestern" in page.evaluate("window.copied")
    for kind, start in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"({kind})").click()
        path = tmp_path / kind
        download.value.save_as(path)
        assert path.read_bytes().startswith(start)
    assert "gefunden" in (tmp_path / "SVG").read_text(encoding="utf8")


# ---- For everybody -------------------------------------------------------------------------


@pytest.mark.parametrize("evil", EVIL)
def test_hostile_text_stays_text(opened, evil):
    page = opened()
    type_in(page, evil)
    assert page.locator("img").count() == 0
    assert page.locator("#message").inner_html().count("<script") == 0
    again = opened(f"s={quote(evil)}&memory={quote(evil)}&force={quote(evil)}&part={quote(evil)}")
    assert again.locator("img").count() == 0


@pytest.mark.parametrize(
    "nonsense",
    [
        "s=Er+singt.&word=99&silence=x1.1,c9.9,c1.1,c1.1&cut=7,1&hide=99,1&move=1-99&blur=1e9",
        "s=Er+singt.&temperature=-3&draw=abc&map=__proto__&layer=0&head=99&german=-1&task=x&part=x",
        "%E0%A4%A&&&===&s=%00%00",
    ],
)
def test_a_broken_link_does_no_harm(opened, nonsense):
    page = opened(nonsense)
    assert english(page)
    silence(page, "encoder self-attention, layer 1, head 1")


def test_a_link_can_point_at_a_section(opened):
    page = opened("s=Er+singt.&silence=c2.4&at=operate")
    assert english(page) == "He sings."
    assert page.evaluate("document.getElementById('operate').getBoundingClientRect().top") < 300


def test_another_model_without_sentences_works(alone, tmp_path):
    torch.manual_seed(0)
    words = Tokenizer(vocabulary())
    model = Transformer(TransformerConfig(len(words), 16, 2, 24, 3, 1, max_length=32))
    live_page(model, words, tmp_path / "own.html")
    page = alone((tmp_path / "own.html").read_text(encoding="utf8"), 1280, 900)
    assert page.locator("#watch").is_hidden()
    type_in(page, "Der Hund schläft.")
    assert english(page)
    for kind in ("encoder", "decoder", "cross"):
        page.get_by_label("Map", exact=True).select_option(kind)
        page.get_by_label("Layer", exact=True).select_option(label="1")
    page.get_by_role("button", name="Cut layer 1").click()
    page.wait_for_timeout(1_000)
    assert page.locator("#challenges").is_hidden()  # it cannot solve them


def test_hostile_words_in_the_data_stay_words(alone, html):
    start, data, end = re.fullmatch(
        r'(.*<script type="application/json" id="data">)(.*?)(</script>.*)', html, re.S
    ).groups()
    data = json.loads(data)
    data["words"][data["words"].index("Hund")] = EVIL[0]
    data["sentences"][0]["source"][4] = EVIL[0]
    data["sentences"][0]["shows"] = EVIL[1]
    packed = json.dumps(data).replace("<", "\\u003c")
    page = alone(start + packed + end, 1280, 900)
    page.wait_for_timeout(1_000)
    assert page.locator("img").count() == 0
    assert EVIL[1] in page.locator("#sentences").text_content()


def test_everything_works_by_keyboard(opened):
    page = opened("s=" + quote(BOOK))
    page.locator(".queries [aria-pressed=true]").focus()
    for key, word in (("End", "<eos>"), ("Home", "the"), ("ArrowDown", "teacher")):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.textContent") == word
    page.get_by_role("button", name="Silence cross-attention, layer 2, head 4").focus()
    page.keyboard.press("Space")
    assert now(page) == "The teacher does not read the book."
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    page.locator(".word-choices button").nth(5).focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "nicht"  # the focus stays
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.textContent") != "Hide":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert now(page) == "The teacher read the book."
    page.locator("nav a", has_text="Share").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "copy"


def test_a_live_region_says_what_is_seen(opened):
    page = opened("s=" + quote(BOOK))
    silence(page, "cross-attention, layer 2, head 4")
    page.wait_for_timeout(800)
    said = page.text_content("#said")
    assert said.startswith("Now: The teacher does not read") and "Before: The teacher did" in said
    page.locator(".queries button", has_text="book").click()
    page.wait_for_timeout(800)
    assert "looks at “Buch”" in page.text_content("#said")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing(opened, width, scheme):
    page = opened(width=width, color_scheme=scheme)
    silence(page, "cross-attention, layer 2, head 4")
    page.locator("[data-task=tense]").get_by_role("button", name="Start").click()
    page.add_style_tag(content="section { content-visibility: visible !important }")
    page.wait_for_timeout(1_000)  # the words have appeared
    assert serious(page) == []


@pytest.mark.parametrize("width", [320, 360, 768, 1280, 1920])
def test_nothing_sticks_out(opened, width):
    long = "Meine Königin glaubt, dass diese Schwestern am Abend einem alten Mann keinen großen "
    page = opened("s=" + quote(long + "Stuhl zeigen."), width=width)
    page.add_style_tag(content="section { content-visibility: visible !important }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_motion_is_left_out_for_those_who_ask(opened):
    page = opened(reduced_motion="reduce")
    page.locator("#sentences button").nth(1).click()
    assert "Play" in page.text_content("#play")
    assert "·" not in page.text_content("#written")


def test_how_long_it_takes(alone, html, capsys):
    """Printed, not asserted: machines differ."""
    page = alone(html, 1280, 900)
    first = page.evaluate("performance.getEntriesByName('first-translation')[0].startTime")
    page.wait_for_timeout(1_500)
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 4})
    times = page.evaluate(
        """async () => {
            const input = document.getElementById("source"), times = [];
            const wait = (ms) => new Promise((done) => setTimeout(done, ms));
            for (let i = 0; i < 15; i++) {
                const who = i % 2 ? "Der alte Mann" : "Ein alter Mann";
                input.value = who + " sagt, dass die Frau am Montag den kleinen Hund gesehen hat.";
                const start = performance.now();
                input.dispatchEvent(new Event("input"));
                await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
                times.push(performance.now() - start);
                await wait(500);
            }
            return times;
        }"""
    )
    with capsys.disabled():
        print(
            f"\nfirst translation after {first:.0f} ms; a keystroke, 4x throttled: median "
            f"{statistics.median(times):.0f} ms, fastest {min(times):.0f} ms; "
            f"{len(html.encode()) / 1e6:.2f} MB"
        )
