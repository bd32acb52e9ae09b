/* The page: its state, what happens when the state changes, and the sections Type, Watch and Share.

One way through: something changes `state`, `update()` runs the model, and every section draws what
it is given in `view`. Nothing else keeps results. */

"use strict";

(() => {
  const { el, refill, changes, sentence, percent, quoted, toggle } = LiveDom;
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const model = LiveModel.loadModel(data);
  const vocabulary = LiveText.makeVocabulary(data);
  const { num_encoder_layers, num_decoder_layers, num_heads } = model.config;
  const limits = { encoder: num_encoder_layers, decoder: num_decoder_layers, heads: num_heads };
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const offered = data.sentences.map((s) => ({ ...s, text: LiveText.joinWords(s.source) }));
  const wordOf = (id) => model.words[id];
  const SECTIONS = ["type", "watch", "look", "open", "operate", "challenges", "share"];
  const SHOWN_BARS = 5, PACE = 650; // milliseconds a word, when playing

  const fresh = () => ({
    text: offered.length ? offered[0].text : "", step: 3, force: [], temperature: 0, seed: 1, ops: LiveOperate.noOps(),
    look: { map: "cross", layer: num_decoder_layers - 1, head: "mean", word: 0, gold: false }, part: null, task: null,
  });
  let state = fresh(), view = null, history = [], lastChange = null, playing = null, typing = false;

  // ---- From the state to what is shown ----

  /* The ids to force, as far as the words are known. */
  const forced = () => {
    const ids = state.force.map((word) => model.words.indexOf(word));
    const end = ids.findIndex((id) => id < 0 || id === model.pad || id === model.bos);
    return end < 0 ? ids : ids.slice(0, end);
  };
  const withoutEnd = (ids) => (ids[ids.length - 1] === model.eos ? ids.slice(0, -1) : ids).map(wordOf);
  const surgeryFor = (ops, read) => {
    const memory = ops.memoryOf === null ? null : LiveText.readSentence(vocabulary, ops.memoryOf).ids;
    return LiveOperate.surgeryOf(ops, read.words.length, memory);
  };
  let plainKey = null, plainResult = null; // the untouched model's translation, kept while the sentence stays
  const plain = (ids) => {
    if (plainKey !== ids.join()) [plainKey, plainResult] = [ids.join(), LiveModel.translate(model, ids)];
    return plainResult;
  };

  /* Run the model on a sentence that can be read. */
  function look(read) {
    state.ops.hide = state.ops.hide.filter((word) => word < read.words.length);
    const { move } = state.ops;
    if (move && Math.max(move.from, move.to) >= read.words.length) state.ops.move = null;
    const surgery = surgeryFor(state.ops, read), prefix = forced(), before = plain(read.ids);
    const { temperature } = state, random = LiveModel.seededRandom(state.seed);
    const touched = Object.keys(surgery).length || prefix.length || temperature;
    const result = touched ? LiveModel.translate(model, read.ids, { surgery, prefix, temperature, random }) : before;
    const order = LiveOperate.readOrder(state.ops, read.words.length);
    const target = result.ids.map(wordOf), { encoded } = result;
    const ready = offered.find((s) => s.source.join(" ") === read.words.join(" "));
    const untouched = target.join(" ") === before.ids.map(wordOf).join(" ") && !state.ops.move && !state.ops.reverse && !surgery.memoryOf && !surgery.average;
    state.step = Math.min(state.step, result.steps.length - 1);
    state.look.word = Math.min(state.look.word, encoded.ids.length - 1);
    return {
      model, read, result, prefix, ready, touched: Boolean(touched),
      gold: ready && ready.alignment && untouched && ready.target.join(" ") === withoutEnd(result.ids).join(" ") ? ready.alignment : null,
      hidden: new Set(surgery.memoryOf ? [] : surgery.hide),
      done: LiveOperate.describe(state.ops, read.words, num_decoder_layers),
      words: {
        typed: read.words, source: encoded.ids.map(wordOf), order, target,
        read: ["<bos>", ...target.slice(0, -1)], before: withoutEnd(before.ids), after: withoutEnd(result.ids),
        memory: surgery.average ? ["the average"] : encoded.read.ids.map(wordOf),
      },
    };
  }

  /* The one way through. typed: a key was pressed in the input, so the rest may come a moment later. */
  function update({ typed = false } = {}) {
    const read = LiveText.readSentence(vocabulary, state.text);
    if (read.ids) view = look(read);
    if (view) view.state = state;
    document.body.classList.toggle("empty", !view); // nothing could be read yet
    drawType(read);
    if (!view) return;
    drawWatch();
    drawBench();
    clearTimeout(update.rest);
    if (typed) update.rest = setTimeout(drawRest, 150);
    else drawRest();
  }

  function drawRest() {
    lookSection.draw(view);
    drawMachine();
    operateSection.draw(view);
    drawBench(drawChallenges());
    clearTimeout(drawRest.link);
    drawRest.link = setTimeout(writeLink, 200);
  }

  /* For screen readers: one sentence about what has just changed. */
  function say(text) {
    clearTimeout(say.timer);
    say.timer = setTimeout(() => { $("said").textContent = text; }, 500);
  }

  // ---- Type ----

  const input = $("source"), list = $("completions");
  let active = -1, shownTarget = "";

  function newSentence(text, more = {}) {
    stopPlaying();
    state = { ...state, text, force: [], ops: LiveOperate.forAnotherSentence(state.ops), ...more };
  }

  function drawType(read) {
    if (input.value !== state.text) input.value = state.text;
    refill($("message"), messages(read));
    $("target").classList.toggle("stale", !read.ids);
    if (view) drawTarget(read);
    for (const button of $("sentences").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.key === state.text));
    }
  }

  function drawTarget(read) {
    const { after } = view.words;
    if (after.join(" ") !== shownTarget) {
      shownTarget = after.join(" ");
      const words = sentence(after).map((part, i) => (part === " " ? " " : el("span", { text: part, style: `--i: ${i}` })));
      $("target").replaceChildren(...words);
      $("target").classList.toggle("appear", !typing && !calm.matches);
      say(`English: ${LiveText.joinWords(after)}`);
    }
    const { ready, touched, result } = view;
    const right = ready && ready.target && ready.target.join(" ") === after.join(" ");
    $("verdict").textContent = !read.ids ? "This is the last sentence that could be read."
      : touched ? "You have changed something: see Watch and Operate."
        : !result.ended ? "It found no end, so the page stopped it."
          : !ready || !ready.target ? "" : right ? "That is right." : `That is wrong. Right would be: ${LiveText.joinWords(ready.target)}`;
  }

  /* What there is to say about the text as it was typed: plain sentences, with buttons that help. */
  function messages(read) {
    const last = read.unknown[read.unknown.length - 1];
    const half = typing && last && !/[\s.,!?]$/.test(input.value) && last.index >= read.words.length - 2
      && LiveText.completions(vocabulary, last.word, 1).length > 0; // the word is not finished yet
    const unknown = half ? read.unknown.slice(0, -1) : read.unknown;
    if (read.empty) return [el("span", { text: "Type a German sentence, or pick one below." })];
    if (read.tooLong) return [el("span", { text: `That is too long. The model can read ${model.config.max_length - 1} words at most.` })];
    if (read.english) return [el("span", { text: "That looks like English. This model translates from German." })];
    const said = unknown.slice(0, 3).map(({ word, suggestions }) => {
      const short = word.length > 30 ? word.slice(0, 29) + "…" : word;
      const line = el("span", { text: `The model does not know ${quoted(short)}. ` });
      if (suggestions.length) line.append("Did you mean ");
      suggestions.forEach((known, i) => line.append(i === 0 ? "" : i < suggestions.length - 1 ? ", " : " or ", toggle(known, { class: "inline", lang: "de", onclick: () => replaceWord(word, known) })));
      if (suggestions.length) line.append("?");
      return line;
    });
    said.push(...read.foreign.slice(0, 2).map(({ word }) => el("span", { text: `${quoted(word)} is an English word.` })));
    if (read.ids && read.changes.length) {
      said.push(el("span", { text: read.changes.slice(0, 3).map(({ from, to }) => `${quoted(from)} was read as ${quoted(to)}.`).join(" ") }));
    }
    if (read.ids && read.sentences > 1) said.push(el("span", { text: "The model learned from single sentences. It may get lost in two." }));
    if (read.unusual.length) said.push(el("span", { text: unusualText(read.unusual[0]) }));
    return said;
  }

  function unusualText({ before, word }) {
    const what = before === "." ? `no sentence began with a word like ${quoted(word)}`
      : word === "." ? `no sentence ended with a word like ${quoted(before)}`
        : `no word like ${quoted(word)} ever followed one like ${quoted(before)}`;
    return `In training, ${what}, so the translation may well be wrong.`;
  }

  function replaceWord(word, known) {
    const at = input.value.indexOf(word);
    newSentence(at < 0 ? input.value : input.value.slice(0, at) + known + input.value.slice(at + word.length));
    input.focus();
    update();
  }

  /* The word that ends at the caret, and where it starts. */
  function beginning() {
    const upTo = input.value.slice(0, input.selectionStart);
    const word = /[^\s.,]*$/.exec(upTo)[0];
    return { word, start: upTo.length - word.length };
  }

  function drawCompletions() {
    const { word } = beginning();
    const found = typing && word ? LiveText.completions(vocabulary, word, 6).filter((known) => known !== word) : [];
    active = -1;
    list.replaceChildren(...found.map((known, i) => el("div", { role: "option", id: `completion-${i}`, "aria-selected": "false", lang: "de", text: known,
      onmousedown: (event) => { event.preventDefault(); complete(known); } })));
    openList(found.length > 0);
    if (found.length) say(`${found.length} words start like this. Press the down arrow to choose.`);
  }

  function openList(open) {
    list.hidden = !open;
    if (!open) input.removeAttribute("aria-activedescendant");
  }

  function complete(known) {
    const { word, start } = beginning();
    const rest = input.value.slice(start + word.length);
    const text = input.value.slice(0, start) + known + (rest.startsWith(" ") ? rest : " " + rest);
    newSentence(text);
    input.value = text;
    input.setSelectionRange(start + known.length + 1, start + known.length + 1);
    openList(false);
    update({ typed: true });
  }

  input.addEventListener("input", () => {
    typing = true;
    newSentence(input.value, { task: null });
    update({ typed: true });
    drawCompletions();
  });
  input.addEventListener("blur", () => { typing = false; openList(false); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault(); // one sentence, one line
    if (list.hidden) return;
    const options = [...list.children];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      active = (active + (event.key === "ArrowDown" ? 1 : -1) + options.length + (active < 0 && event.key === "ArrowUp" ? 1 : 0)) % options.length;
      options.forEach((option, i) => option.setAttribute("aria-selected", String(i === active)));
      input.setAttribute("aria-activedescendant", options[active].id);
    } else if (event.key === "Enter" && active >= 0) {
      complete(options[active].textContent);
    } else if (event.key === "Escape") openList(false);
  });

  $("size").textContent = Object.values(data.tensors).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0).toLocaleString("en");
  $("offered").hidden = !offered.length;
  $("sentences").append(...offered.map((s) => el("li", {}, el("button", { type: "button", "data-key": s.text, onclick: () => {
    newSentence(s.text, { task: null });
    state.step = calm.matches ? 1000 : 0;
    update();
    if (!calm.matches) play();
  } }, el("span", { lang: "de", text: s.text }), el("span", { class: "hint", text: s.shows })))));

  // ---- Watch ----

  function drawWatch() {
    const { result, words, prefix } = view, { step, temperature } = state;
    const last = result.steps.length - 1;
    refill($("written"), words.target.map((word, t) => el("li", {}, toggle(playing !== null && t > step ? "·" : word, {
      "data-key": String(t), class: t > step ? "later" : null, "aria-current": t === step ? "step" : null,
      "aria-label": playing !== null && t > step ? "not written yet" : word + (t < prefix.length && result.ids[t] !== mostLikely(t) ? ", your choice" : ""),
      onclick: () => { stopPlaying(); goTo(t); },
    }))));
    $("back").disabled = step === 0;
    $("forward").disabled = step === last;
    $("play").textContent = playing === null ? "▶ Play" : "❚❚ Pause";
    $("temperature").value = temperature;
    $("temperature-value").textContent = temperature.toFixed(1);
    $("temperature-says").textContent = temperature === 0 ? "At 0 the model always takes the likeliest word."
      : temperature < 1 ? "Words are drawn at random. The lower the temperature, the more often the likeliest word wins."
        : "Words are drawn at random. At a higher temperature the model makes more mistakes.";
    $("again").disabled = temperature === 0;
    $("release").hidden = !prefix.length;
    drawBars();
  }

  const probabilitiesAt = (t) => LiveModel.nextProbabilities(model, view.result.steps[t].logits, state.temperature || 1);
  const mostLikely = (t) => LiveModel.mostProbable(view.result.steps[t].probabilities);

  function drawBars() {
    const { result, words } = view, { step } = state;
    const probabilities = probabilitiesAt(step), chosen = result.ids[step];
    const top = LiveModel.topWords(probabilities, SHOWN_BARS);
    if (!top.includes(chosen)) top.splice(-1, 1, chosen);
    const written = words.target.slice(Math.max(0, step - 3), step).join(" ");
    $("expects").textContent = step === 0 ? "Which word comes first?" : `What comes after ${quoted((step > 3 ? "… " : "") + written)}?`;
    refill($("bars"), top.map((id) => {
      const share = probabilities[id], text = share < 0.001 ? "< 0.1%" : `${(100 * share).toFixed(1)}%`;
      const row = el("button", { type: "button", "data-key": wordOf(id), "aria-pressed": String(id === chosen),
        "aria-label": `${wordOf(id)}, ${text}${id === chosen ? ", chosen" : ", choose this word instead"}`, onclick: () => choose(step, id) },
      el("span", { class: "bar-word", text: wordOf(id) }), el("span", { class: "bar" }, el("span", { style: `--share: ${share.toFixed(4)}` })),
      el("span", { class: "bar-share", text }));
      return el("li", {}, row);
    }));
  }

  function choose(t, id) {
    if (id === view.result.ids[t]) return;
    stopPlaying();
    remember();
    state.force = [...view.result.ids.slice(0, t), id].map(wordOf);
    update();
  }

  function goTo(t) {
    state.step = Math.min(Math.max(t, 0), view.result.steps.length - 1);
    if (state.look.map === "encoder") state.look.map = "cross";
    drawWatch();
    drawRest();
    const { words } = view;
    say(`The model writes ${quoted(words.target[state.step])}, ${percent(probabilitiesAt(state.step)[view.result.ids[state.step]])}. ${lookSection.said()}`);
  }

  function play() {
    if (!view) return;
    if (state.step === view.result.steps.length - 1) state.step = 0;
    playing = setInterval(() => {
      if (state.step < view.result.steps.length - 1) goTo(state.step + 1);
      if (state.step === view.result.steps.length - 1) stopPlaying();
    }, PACE);
    goTo(state.step);
  }

  function stopPlaying() {
    if (playing === null) return;
    clearInterval(playing);
    playing = null;
    if (view) drawWatch();
  }

  $("play").addEventListener("click", () => (playing === null ? play() : stopPlaying()));
  $("back").addEventListener("click", () => { stopPlaying(); goTo(state.step - 1); });
  $("forward").addEventListener("click", () => { stopPlaying(); goTo(state.step + 1); });
  $("temperature").addEventListener("input", () => { stopPlaying(); state.temperature = Number($("temperature").value); state.force = []; update(); });
  $("again").addEventListener("click", () => { stopPlaying(); state.seed = (state.seed % 9999) + 1; state.force = []; update(); });
  $("release").addEventListener("click", () => { state.force = []; update(); $("play").focus(); });

  // ---- Look, open, operate ----

  const lookSection = LiveLook.make($("look-root"), model, {
    change: (changed) => { state.look = { ...state.look, ...changed }; drawRest(); say(lookSection.said()); },
    select: (q) => {
      stopPlaying();
      if (state.look.map === "encoder") { state.look.word = q; drawRest(); say(lookSection.said()); } else goTo(q);
    },
  });

  function drawMachine() {
    const { result, words } = view;
    if (typeof LiveMachine === "undefined") {
      if (!$("machine").firstChild) $("machine").append(el("p", { class: "hint", text: "This part of the page is not built yet." }));
      return;
    }
    LiveMachine.render($("machine"), { model, result, step: state.step, sourceWords: words.typed, targetWords: words.target, part: state.part,
      links: notebooks, onPart: (part) => { state.part = part; drawRest(); } });
  }

  // Where the book is, if the page knows it: the machine links each step to the cell that builds it.
  const notebooks = /^(https?:\/\/|\.\.?\/|$)/.test(data.book ?? "javascript:") && typeof LiveMachine !== "undefined"
    ? LiveMachine.links(data.book) : undefined;
  // The machine's map stays clear of the bar at the lower edge.
  new ResizeObserver(([{ target }]) => $("machine").style.setProperty("--machine-below", `${target.offsetHeight}px`)).observe($("bench"));

  const operateSection = LiveOperate.make($("operate-root"), { model, sentences: offered.map((s) => s.text), operate });

  /* Keep what Undo goes back to. */
  function remember() {
    history.push({ ops: state.ops, force: state.force, text: state.text });
    lastChange = null;
  }

  /* Apply change(ops). The old state is kept for undo; a row of changes with one name counts once. */
  function operate(change, name = null) {
    stopPlaying();
    if (name === null || name !== lastChange) remember();
    lastChange = name;
    state.ops = change(state.ops);
    update();
    const { before, after } = view.words, same = before.join(" ") === after.join(" ");
    say(same ? `No change: ${LiveText.joinWords(after)}` : `Now: ${LiveText.joinWords(after)} Before: ${LiveText.joinWords(before)}`);
  }

  function drawBench(told = drawBench.told) {
    const { before, after } = view.words, { gone, added } = changes(before, after);
    drawBench.told = told;
    $("bench-before").replaceChildren(...sentence(before, gone, "del"));
    $("bench-now").replaceChildren(...sentence(after, added, "ins"));
    const same = !gone.some(Boolean) && !added.some(Boolean);
    const what = [...view.done, ...(view.prefix.length ? ["a word chosen by you"] : []), ...(state.temperature ? [`temperature ${state.temperature}`] : [])];
    $("bench-first").hidden = !what.length;
    $("bench-what").textContent = !what.length ? "The model is as it was trained." : `${what.join("; ")}${same ? ": the translation stays the same" : ""}.`;
    $("bench-task").textContent = told ? `${told.solved ? "✓ Solved" : told.title}: ${told.text}` : "";
    $("undo").disabled = !history.length;
    $("undo-all").disabled = !view.touched;
  }

  $("undo").addEventListener("click", () => {
    const { ops, force, text } = history.pop();
    stopPlaying();
    lastChange = null;
    const same = text === state.text;
    state = { ...state, force: same ? force : [], ops: same ? ops : LiveOperate.forAnotherSentence(ops) };
    update();
    say(`Undone. Now: ${LiveText.joinWords(view.words.after)}`);
  });
  $("undo-all").addEventListener("click", () => {
    history = [];
    lastChange = null;
    state = { ...state, force: [], temperature: 0, ops: LiveOperate.noOps() };
    update();
    say(`The model is whole again: ${LiveText.joinWords(view.words.after)}`);
  });

  // ---- Challenges ----

  let challenges = null;

  /* What a challenge's check looks at, for any view. */
  function nowOf(shown) {
    const { step, look: seen, ops } = shown.state, { before, after, target } = shown.words;
    const layer = Math.min(seen.layer, (seen.map === "encoder" ? num_encoder_layers : num_decoder_layers) - 1);
    const { rows, keys } = LiveLook.attentionOf(shown, seen.map, layer);
    const weights = (seen.head === "mean" ? LiveLook.mean(rows) : rows[seen.head])[seen.map === "encoder" ? seen.word : step];
    return { before, after, ops, look: { ...seen, layer }, word: target[step], strongest: keys[LiveLook.strongest(weights, 1, 0)[0]],
      plain: (other) => withoutEnd(LiveModel.translate(model, shown.read.ids, { surgery: surgeryFor(other, shown.read) }).ids) };
  }

  const solutionOf = (task) => ({ ...fresh(), ...solutionParts(task.solution), text: task.sentence, task: task.id });
  const solutionParts = ({ ops = {}, look: seen = {}, ...rest }) => ({ ...rest, ops: { ...LiveOperate.noOps(), ...ops }, look: { ...fresh().look, ...seen } });

  /* Whether this model can do the task at all: another model may not. */
  function solvable(task) {
    const read = LiveText.readSentence(vocabulary, task.sentence), kept = state;
    if (!read.ids) return false;
    state = solutionOf(task);
    try {
      return task.check(nowOf({ ...look(read), state })).solved;
    } catch {
      return false; // a smaller model does not have that head or layer
    } finally {
      state = kept;
    }
  }

  function drawChallenges() {
    return challenges ? challenges.draw(state.task, nowOf(view)) : null;
  }

  function prepareChallenges(rest = [...LiveChallenges.TASKS], good = []) {
    if (rest.length) {
      if (solvable(rest[0])) good.push(rest[0]);
      setTimeout(() => prepareChallenges(rest.slice(1), good), 20);
      return;
    }
    $("challenges").hidden = !good.length;
    const begin = (next) => { stopPlaying(); history = []; lastChange = null; state = next; update(); };
    challenges = LiveChallenges.make($("challenges-root"), {
      tasks: good,
      start: (task) => begin({ ...fresh(), text: task.sentence, step: 0, task: task.id }),
      show: (task) => begin(solutionOf(task)),
      stop: () => { state.task = null; update(); },
    });
    if (view) drawBench(drawChallenges());
  }

  // ---- Share ----

  let ownFragment = null;

  function writeLink() {
    ownFragment = LiveShare.write(state);
    try { window.history.replaceState(null, "", "#" + ownFragment); } catch { /* a frame without an address */ }
  }

  function readLink() {
    stopPlaying();
    history = [];
    lastChange = null;
    state = LiveShare.read(location.hash, fresh(), limits);
    if (state.ops.memoryOf !== null && !LiveText.readSentence(vocabulary, state.ops.memoryOf).ids) state.ops.memoryOf = null;
    if (!LiveChallenges.TASKS.some((task) => task.id === state.task)) state.task = null;
    update();
    scrollTo(new URLSearchParams(location.hash.slice(1)).get("at"));
  }

  /* A link may end in &at=look: the section to show. */
  function scrollTo(id) {
    if (SECTIONS.includes(id)) $(id).scrollIntoView();
  }

  window.addEventListener("hashchange", () => {
    const fragment = location.hash.slice(1);
    if (fragment === ownFragment) return;
    if (fragment === "" || SECTIONS.includes(fragment)) scrollTo(fragment || "type");
    else readLink();
  });
  for (const link of document.querySelectorAll("nav a")) {
    link.addEventListener("click", (event) => { // without touching the state in the address
      event.preventDefault();
      const section = $(link.hash.slice(1));
      section.scrollIntoView({ behavior: calm.matches ? "auto" : "smooth" });
      section.tabIndex = -1;
      section.focus({ preventScroll: true });
    });
  }

  $("copy").addEventListener("click", async () => {
    writeLink();
    const address = location.href.split("#")[0] + "#" + ownFragment;
    try {
      await navigator.clipboard.writeText(address);
      $("shared").textContent = "The link is copied.";
    } catch {
      $("shared").textContent = "The browser does not let this page copy.";
      $("link-label").hidden = false;
      $("link").value = address;
      $("link").select();
    }
  });
  for (const kind of ["png", "svg"]) {
    $(`save-${kind}`).addEventListener("click", async () => {
      const { map, layer: wanted, head, word } = state.look;
      const layer = Math.min(wanted, (map === "encoder" ? num_encoder_layers : num_decoder_layers) - 1);
      const { queries, keys, rows } = LiveLook.attentionOf(view, map, layer);
      const shown = { map, layer, head, queries, keys, title: LiveLook.MAPS[map].title, row: map === "encoder" ? word : state.step,
        rows: head === "mean" ? LiveLook.mean(rows) : rows[head] };
      try {
        await LiveShare.savePicture(LiveShare.picture(view, shown, view.done), kind);
        $("shared").textContent = "The picture is saved.";
      } catch (error) {
        $("shared").textContent = error.message;
      }
    });
  }

  const opening = location.hash.slice(1); // "#look" alone is a place, not a state
  readLink();
  scrollTo(opening);
  performance.mark("first-translation");
  setTimeout(prepareChallenges, 300);
})();
