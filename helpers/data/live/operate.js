/* Operate: what a visitor does to the model, and the controls for it.

`ops` is plain data, so that it can be undone, put into a link and compared:
  silence: [{ where, layer, head }]   cut: [layer, …]   memoryOf: text or null   average   blur
  hide: [word, …]   move: { from, to } or null   reverse   positions: ["source", "target"] taken away
  layerByLayer.   Words count from 0 in the sentence as it was typed. */

"use strict";

const LiveOperate = (() => {
  const NAMES = { encoder: "encoder self-attention", decoder: "decoder self-attention", cross: "cross-attention" };

  const noOps = () => ({ silence: [], cut: [], memoryOf: null, average: false, blur: 0, hide: [], move: null,
    reverse: false, positions: [], layerByLayer: false });

  const sameHead = (a, b) => a.where === b.where && a.layer === b.layer && a.head === b.head;
  const without = (list, item) => list.filter((x) => x !== item);

  /* The order in which the words are read; `count` words, <eos> not counted. */
  function readOrder(ops, count) {
    const order = Array.from({ length: count }, (_, i) => i);
    if (ops.move) order.splice(ops.move.to, 0, order.splice(ops.move.from, 1)[0]);
    return ops.reverse ? order.reverse() : order;
  }

  /* ops as LiveModel takes them. memoryIds: the ids of the sentence whose memory is to be used. */
  function surgeryOf(ops, count, memoryIds) {
    const order = readOrder(ops, count), surgery = {};
    if (ops.silence.length) surgery.silence = ops.silence;
    if (ops.cut.length) surgery.cutCross = ops.cut;
    if (ops.memoryOf !== null && memoryIds) surgery.memoryOf = memoryIds;
    if (ops.layerByLayer) surgery.layerByLayer = true;
    if (ops.blur) surgery.blur = ops.blur;
    if (ops.average) surgery.average = true;
    if (ops.hide.length) surgery.hide = ops.hide.map((word) => order.indexOf(word));
    if (ops.move) surgery.move = ops.move;
    if (ops.reverse) surgery.reverse = true;
    if (ops.positions.length) surgery.withoutPositions = ops.positions;
    return surgery;
  }

  /* Another sentence: what names a word of the old one makes no sense any more. */
  const forAnotherSentence = (ops) => ({ ...ops, hide: [], move: null });

  /* What was done, in words, one phrase each. */
  function describe(ops, words, layers) {
    const said = ops.silence.map(({ where, layer, head }) => `${NAMES[where]}, layer ${layer + 1}, head ${head + 1} silenced`);
    if (ops.cut.length === layers) said.push("cross-attention cut everywhere");
    else said.push(...ops.cut.map((layer) => `cross-attention of layer ${layer + 1} cut`));
    if (ops.memoryOf !== null) said.push(`memory of “${ops.memoryOf}”`);
    if (ops.layerByLayer) said.push("encoder layer i feeds decoder layer i");
    if (ops.blur) said.push(`memory blurred by ${Math.round(100 * ops.blur)}%`);
    if (ops.average) said.push("memory averaged into one vector");
    said.push(...ops.hide.map((word) => `“${words[word]}” hidden`));
    if (ops.move) said.push(`“${words[ops.move.from]}” moved`);
    if (ops.reverse) said.push("German read backwards");
    said.push(...ops.positions.map((side) => `no positions in the ${side === "source" ? "German" : "English"}`));
    return said;
  }

  /* operate(change, name): the page applies change(ops), keeps the old ops for undo, and draws again.
     Two changes in a row with the same name are undone together. */
  function make(root, { model, sentences, operate }) {
    const { el, refill, toggle, changes } = LiveDom;
    const { num_encoder_layers, num_decoder_layers, num_heads } = model.config;
    let view = null, chosen = null, guess = null;
    const redraw = []; // functions of the view, one for each control

    const card = (title, text, ...children) => {
      const node = el("div", { class: "card" }, el("h3", { text: title }), el("p", { class: "hint", text }), ...children);
      root.append(node);
      return node;
    };
    /* A button that is pressed or not. */
    const flip = (name, isOn, change, label) => {
      const button = toggle(name, { onclick: () => operate(change), "aria-label": label });
      redraw.push(({ state }) => button.setAttribute("aria-pressed", String(isOn(state.ops))));
      return button;
    };

    // Heads
    const table = el("div", { class: "surgery-heads" });
    for (const [where, layers] of [["encoder", num_encoder_layers], ["decoder", num_decoder_layers], ["cross", num_decoder_layers]]) {
      const group = el("div", { class: `head-group ${where}`, role: "group", "aria-label": NAMES[where] }, el("p", { class: "role", text: NAMES[where] }));
      for (let layer = 0; layer < layers; layer++) {
        const line = el("div", { class: "head-line" }, el("span", { class: "hint", text: `layer ${layer + 1}` }));
        for (let head = 0; head < num_heads; head++) {
          const which = { where, layer, head };
          line.append(flip(String(head + 1), (ops) => ops.silence.some((s) => sameHead(s, which)),
            (ops) => ({ ...ops, silence: ops.silence.some((s) => sameHead(s, which)) ? ops.silence.filter((s) => !sameHead(s, which)) : [...ops.silence, which] }),
            `Silence ${NAMES[where]}, layer ${layer + 1}, head ${head + 1}`));
        }
        group.append(line);
      }
      table.append(group);
    }
    card("Silence heads", "A silenced head still looks, but what it found is replaced by zeros. Try a few: the model gets by without most of them.", table).classList.add("wide");

    // Words
    const list = el("div", { class: "word-choices", role: "group", "aria-label": "German words, in the order in which they are read" });
    const tools = el("div", { class: "player" });
    const words = card("Hide or move a word", "Choose a German word. A hidden word is still there, but no head may look at it. A moved word gets a new position.", list, tools);
    words.classList.add("wide");
    const moveBy = (by) => operate((ops) => {
      const count = view.read.words.length;
      const other = ops.move && ops.move.from !== chosen;
      const from = chosen, at = other ? from : readOrder({ ...ops, reverse: false }, count).indexOf(chosen);
      const to = Math.min(Math.max(at + by, 0), count - 1);
      return { ...ops, move: to === from ? null : { from, to } };
    });
    const hide = toggle("Hide", { onclick: () => operate((ops) => ({ ...ops, hide: ops.hide.includes(chosen) ? without(ops.hide, chosen) : [...ops.hide, chosen] })) });
    const left = toggle("← Move left", { onclick: () => moveBy(-1) }), right = toggle("Move right →", { onclick: () => moveBy(1) });
    const reverse = flip("Read backwards", (ops) => ops.reverse, (ops) => ({ ...ops, reverse: !ops.reverse }));
    tools.append(hide, left, right, reverse);
    redraw.push(({ read, state: { ops } }) => {
      if (chosen !== null && chosen >= read.words.length) chosen = null;
      refill(list, readOrder(ops, read.words.length).map((word) => toggle(read.words[word], {
        "data-key": String(word), class: ops.hide.includes(word) ? "hidden-word" : null, "aria-pressed": String(word === chosen),
        "aria-label": read.words[word] + (ops.hide.includes(word) ? ", hidden" : ""), lang: "de",
        onclick: () => { chosen = word === chosen ? null : word; draw(view); },
      })));
      hide.textContent = chosen !== null && ops.hide.includes(chosen) ? "Show again" : "Hide";
      hide.disabled = chosen === null;
      left.disabled = right.disabled = chosen === null || ops.reverse;
    });

    // Cross-attention
    const layers = Array.from({ length: num_decoder_layers }, (_, i) => i);
    const cuts = layers.map((layer) => flip(`Cut layer ${layer + 1}`, (ops) => ops.cut.includes(layer),
      (ops) => ({ ...ops, cut: ops.cut.includes(layer) ? without(ops.cut, layer) : [...ops.cut, layer].sort() })));
    if (layers.length > 1) {
      cuts.push(flip("Cut all", (ops) => ops.cut.length === layers.length, (ops) => ({ ...ops, cut: ops.cut.length === layers.length ? [] : layers })));
    }
    card("Cut cross-attention", "Cut it everywhere, and the decoder can no longer see the German. It still writes a sentence, but not about yours.", el("div", { class: "player" }, ...cuts));

    // Memory
    const memory = el("select", { "aria-label": "Whose memory the decoder reads", onchange: () => operate((ops) => ({ ...ops, memoryOf: memory.value || null })) });
    memory.append(el("option", { value: "", text: "its own sentence" }), ...sentences.map((text) => el("option", { value: text, text })));
    redraw.push(({ state: { ops } }) => {
      if (ops.memoryOf !== null && ![...memory.options].some((option) => option.value === ops.memoryOf)) {
        memory.append(el("option", { value: ops.memoryOf, text: ops.memoryOf }));
      }
      memory.value = ops.memoryOf || "";
    });
    if (sentences.length) {
      card("Swap the memory", "Let the decoder read the memory of another sentence. The translation follows the memory, not the words you typed.",
        el("label", { class: "stacked" }, "The decoder reads the memory of", memory));
    }
    const blurSays = el("output", { for: "blur" });
    const blur = el("input", { id: "blur", type: "range", min: 0, max: 1, step: 0.05,
      oninput: () => operate((ops) => ({ ...ops, blur: Number(blur.value) }), "blur") });
    redraw.push(({ state: { ops } }) => {
      blur.value = ops.blur;
      blurSays.textContent = `${Math.round(100 * ops.blur)}%`;
    });
    card("Blur the memory", "Each vector of the memory moves towards their mean. At 100% they are all the same.",
      el("label", { class: "stacked", for: "blur" }, el("span", {}, "Blur ", blurSays)), blur,
      flip("One average vector", (ops) => ops.average, (ops) => ({ ...ops, average: !ops.average })));

    // Positions
    const positions = (side, name) => flip(name, (ops) => ops.positions.includes(side),
      (ops) => ({ ...ops, positions: ops.positions.includes(side) ? without(ops.positions, side) : [...ops.positions, side] }));
    card("Take away the positions", "Without positions a sentence is a bag of words. Does the model still know who did it?",
      el("div", { class: "player" }, positions("source", "In the German"), positions("target", "In the English")));

    // Layer by layer: predict first
    if (num_encoder_layers === num_decoder_layers && num_encoder_layers > 1) {
      const GUESSES = ["Nothing changes", "A few words change", "It falls apart"];
      const answer = el("p", { class: "says", "aria-live": "polite" });
      const run = flip("See what happens", (ops) => ops.layerByLayer, (ops) => ({ ...ops, layerByLayer: !ops.layerByLayer }));
      const guesses = GUESSES.map((text, i) => toggle(text, { onclick: () => { guess = i; draw(view); } }));
      const rewire = card("Layer i to layer i", "Some drawings show encoder layer 1 feeding decoder layer 1, and so on. The real model feeds every decoder layer from the last encoder layer. This one was trained that way. What happens if you rewire it now? Predict first.",
        el("div", { class: "player", role: "group", "aria-label": "Your prediction" }, ...guesses), run, answer);
      rewire.classList.add("wide");
      redraw.push(({ state: { ops }, words: { before, after } }) => {
        guesses.forEach((button, i) => button.setAttribute("aria-pressed", String(guess === i)));
        run.disabled = guess === null && !ops.layerByLayer;
        run.textContent = ops.layerByLayer ? "Wire it correctly again" : guess === null ? "See what happens (predict first)" : "See what happens";
        const alone = describe(ops, [], num_decoder_layers).length === 1;
        const { gone, added } = changes(before, after);
        const number = Math.max(gone.filter(Boolean).length, added.filter(Boolean).length);
        const outcome = number === 0 ? 0 : number <= before.length / 2 ? 1 : 2;
        answer.textContent = !ops.layerByLayer ? "" : !alone ? "Undo the other operations to see what this one does."
          : `${guess === null ? "" : guess === outcome ? "You were right. " : "Not quite. "}${["For this sentence, nothing changes. The vectors of the first encoder layer were already good enough.",
            "Some words change: the first decoder layer now reads vectors that are only half processed.",
            "It falls apart: the first decoder layer was never trained on vectors like these."][outcome]}`;
      });
    }

    function draw(newView) {
      view = newView;
      for (const control of redraw) control(view);
    }

    return { draw };
  }

  return { noOps, surgeryOf, readOrder, forAnotherSentence, describe, make, sameHead };
})();

if (typeof module !== "undefined") module.exports = LiveOperate;
