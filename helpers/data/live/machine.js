/* "Open the machine": the labelled Transformer, and the numbers inside every part of it.

It runs in a page (a classic <script>, `LiveMachine` is the only global name), draws what
LiveModel.translate returned, and computes nothing that the model did not compute.

  LiveMachine.render(root, { model, result, step, sourceWords, targetWords, part, onPart, links });

  root         an empty element; LiveMachine fills it. Give it room from 320 pixels upwards
  model        from LiveModel.loadModel;  result: from LiveModel.translate
  step         which decoder step to show: result.steps[step]; one that does not exist becomes the last
  sourceWords  the words of the source as they were typed, with or without <eos>; optional
  targetWords  the words that were written, as in result.ids; optional
  part         the id of the open part, or null
  onPart       called with an id when a visitor opens a part, with null when they close it
  links        { step id: address } of the notebook cell that builds a step; without it no links

Call it again whenever anything changes: it changes only what differs, so that focus, scroll, the
chosen head and the chosen word stay.

  LiveMachine.partIds(model) -> every part, in the order in which the data passes through
  LiveMachine.links(prefix)  -> the addresses in the book: { step id: prefix + "notebooks/…" }

Ids of parts: encoder.embedding, encoder.0.self, encoder.0.feed, encoder.norm, memory,
decoder.embedding, decoder.0.self, decoder.0.cross, decoder.0.feed, decoder.norm, output; and
around each self, cross and feed its .add and, in a pre-norm model, its .norm.

The colours come from the page's --source, --target, --cross, --ink, --paper and so on if it has
them. --machine-below is the height of a bar that the page keeps at the window's lower edge.

Only createElement, createElementNS and text nodes: a word is never read as markup. */

"use strict";

const LiveMachine = (() => {
  const HOMES = {
    "embedding.word": "04_rest_of_a_block.html#the-embedding-a-word-s-row-made-louder-plus-its-position",
    "embedding.position": "04_rest_of_a_block.html#a-position-is-a-vector-of-waves",
    "embedding.sum": "04_rest_of_a_block.html#the-embedding-a-word-s-row-made-louder-plus-its-position",
    "self.vectors": "01_self_attention.html#where-queries-keys-and-values-come-from",
    "cached.vectors": "10_decoding.html#the-past-s-keys-and-values-never-change-so-keep-them",
    "cross.vectors": "07_cross_attention.html#whose-keys-and-values-a-common-claim-corrected",
    "attention.scores": "01_self_attention.html#all-words-at-once-two-matrix-products",
    "attention.scale": "01_self_attention.html#without-d-k-softmax-stops-responding-as-vectors-grow",
    "attention.mask": "03_masks.html#a-mask-acts-before-softmax-as-minus-infinity",
    "cross.mask": "07_cross_attention.html#which-mask-which-residual-whose-keys",
    "attention.softmax": "01_self_attention.html#the-definition-we-use-from-here-on",
    "attention.sum": "01_self_attention.html#one-question-answered-by-hand",
    "attention.heads": "02_multi_head_attention.html#splitting-is-a-change-of-shape-and-merging-undoes-it",
    "norm": "04_rest_of_a_block.html#layer-norm-keeps-every-vector-at-one-size",
    "add": "04_rest_of_a_block.html#the-residual-is-a-way-through",
    "feed.widen": "04_rest_of_a_block.html#the-feed-forward-network-computes-one-word-at-a-time",
    "feed.narrow": "04_rest_of_a_block.html#the-feed-forward-network-computes-one-word-at-a-time",
    "memory": "08_wiring_the_transformer.html#one-tensor-goes-to-each-decoder-layer-catch-it",
    "output.logits": "08_wiring_the_transformer.html#the-whole-machine-fits-on-a-screen",
    "output.softmax": "10_decoding.html#greedy-decoding-takes-the-most-probable-word-and-asks-again",
  };

  function links(prefix = "") {
    return Object.fromEntries(Object.entries(HOMES).map(([id, page]) => [id, `${prefix}notebooks/${page}`]));
  }

  // ---- A description of elements, and making the page agree with it ----

  const SVG = "http://www.w3.org/2000/svg";

  function h(tag, props, ...children) {
    const { key, ...attributes } = props || {};
    const kept = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
    return { tag, key, attributes, children: kept };
  }

  /* Make the node's children what the descriptions say, keeping every element that can stay. */
  function fill(node, children) {
    const wanted = new Set(children.map((child) => child.key));
    for (const old of [...node.childNodes]) {
      if (old.machineKey !== undefined && !wanted.has(old.machineKey)) old.remove();
    }
    const keyed = new Map([...node.childNodes].map((old) => [old.machineKey, old]));
    let here = node.firstChild;
    for (const child of children) {
      if (typeof child !== "object") {
        const text = String(child);
        if (here && here.nodeType === Node.TEXT_NODE) {
          if (here.data !== text) here.data = text;
          here = here.nextSibling;
        } else {
          node.insertBefore(document.createTextNode(text), here);
        }
        continue;
      }
      let found = null;
      if (child.key !== undefined) found = keyed.get(child.key) || null;
      else if (here && here.localName === child.tag && here.machineKey === undefined) found = here;
      if (!found) {
        const inSvg = child.tag === "svg" || node.namespaceURI === SVG;
        found = inSvg ? document.createElementNS(SVG, child.tag) : document.createElement(child.tag);
        found.machineKey = child.key;
        found.machineAttributes = {};
      }
      if (found === here) here = here.nextSibling;
      else node.insertBefore(found, here);
      if (found.machineDescription === child) continue;
      found.machineDescription = child;
      setAttributes(found, child.attributes);
      fill(found, child.children);
    }
    while (here) {
      const next = here.nextSibling;
      here.remove();
      here = next;
    }
  }

  function setAttributes(node, attributes) {
    const before = node.machineAttributes;
    for (const name of Object.keys(before)) {
      if (!(name in attributes)) attributes[name] = null;
    }
    for (const [name, value] of Object.entries(attributes)) {
      if (before[name] === value) continue;
      if (name.startsWith("on")) node[name] = value;
      else if (value === null || value === false || value === undefined) node.removeAttribute(name);
      else node.setAttribute(name, value);
    }
    node.machineAttributes = attributes;
  }

  // ---- Words and numbers ----

  const range = (count) => Array.from({ length: count }, (_, i) => i);
  const largest = (...lists) => Math.max(1e-9, ...lists.map((rows) => {
    let top = 0;
    for (const row of rows) for (const value of row) if (Math.abs(value) > top) top = Math.abs(value);
    return top;
  }));
  const lengthOf = (row) => Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
  const quote = (word) => `“${word}”`;
  const number = (value, digits = 2) => {
    const text = Math.abs(value).toFixed(digits);
    return value < 0 && Number(text) !== 0 ? "−" + text : text;
  };
  const small = (share) => (share > 0 && share < 0.0005 ? "less than 0.001" : number(share, 3));
  const indexOfLargest = (row) => row.reduce((best, value, i) => (value > row[best] ? i : best), 0);
  const indexOfStrongest = (row) => row.reduce((best, value, i) => (Math.abs(value) > Math.abs(row[best]) ? i : best), 0);

  let ruler = null;
  const widths = new Map();
  function textWidth(text) {
    if (!ruler) {
      ruler = document.createElement("canvas").getContext("2d");
      ruler.font = '12px system-ui, "DejaVu Sans", sans-serif';
    }
    if (!widths.has(text)) widths.set(text, ruler.measureText(text).width);
    return widths.get(text);
  }

  function shortened(word) {
    const letters = [...word];
    return letters.length > 14 ? letters.slice(0, 13).join("") + "…" : word;
  }

  /* What the panels need, with a word for each row. */
  function viewOf({ model, result, step, sourceWords, targetWords }) {
    const at = Math.max(0, Math.min(step || 0, result.steps.length - 1));
    const { encoded } = result;
    const word = (id) => model.words[id];
    const source = encoded.ids.map((id, i) => (sourceWords && sourceWords[encoded.order[i]]) || word(id));
    const written = result.ids.map((id, i) => (targetWords && targetWords[i]) || word(id));
    const read = [word(model.bos), ...written.slice(0, at)];
    const memory = encoded.memories[0];
    let memoryWords = encoded.read === encoded ? source : encoded.read.ids.map(word);
    if (memory.length !== memoryWords.length) memoryWords = memory.map(() => "mean");
    return {
      model, result, encoded, at, source, written, read, memoryWords,
      step: result.steps[at], just: read[at], next: written[at], pre: model.config.norm_first,
    };
  }

  function partIds(model) {
    const { norm_first, num_encoder_layers, num_decoder_layers } = model.config;
    const around = (id) => [...(norm_first ? [id + ".norm"] : []), id, id + ".add"];
    const stack = (side, count, kinds) =>
      range(count).flatMap((i) => kinds.flatMap((kind) => around(`${side}.${i}.${kind}`)));
    return [
      "encoder.embedding", ...stack("encoder", num_encoder_layers, ["self", "feed"]),
      ...(norm_first ? ["encoder.norm"] : []), "memory",
      "decoder.embedding", ...stack("decoder", num_decoder_layers, ["self", "cross", "feed"]),
      ...(norm_first ? ["decoder.norm"] : []), "output",
    ];
  }

  const KINDS = { self: "self-attention", cross: "cross-attention", feed: "feed-forward" };

  /* "decoder.0.cross.add" -> its side, layer, kind, and whether it is the norm or the add around it. */
  function readId(id, pre) {
    const [side, layer, kind, around] = id.split(".");
    if (id === "memory") return { name: "memory", place: "between encoder and decoder", role: "cross" };
    if (id === "output") return { name: "linear + softmax", place: "the decoder's end", role: "decoder" };
    if (layer === "embedding") return { side, name: "embedding + position", place: `the ${side}'s start`, role: side };
    if (layer === "norm") return { side, name: "norm", place: `the ${side}'s last norm`, role: side };
    const sublayer = side === "decoder" && kind === "self" ? "masked self-attention" : KINDS[kind];
    const name = around === "norm" ? "norm" : around === "add" ? (pre ? "add" : "add & norm") : sublayer;
    const place = `${side} layer ${Number(layer) + 1}` + (around ? `, around ${sublayer}` : "");
    return { side, layer: Number(layer), kind, around, name, place, sublayer, role: kind === "cross" ? "cross" : side };
  }

  // ---- The map: boxes from the bottom to the top, in the order in which the data passes ----

  function map(state, view) {
    const { model } = view;
    const box = (id) => {
      const { name, place, around, kind, role } = readId(id, view.pre);
      const open = state.options.part === id;
      const plain = around || id.endsWith(".norm");
      return h("button", {
        key: id, type: "button", "data-part": id, "aria-expanded": String(open), "aria-controls": state.id + "-panel",
        "aria-label": `${name}, ${place}`,
        class: `lm-box lm-${plain ? "pill" : role}${kind === "cross" && !around ? " lm-thick" : ""}`,
        onclick: () => open_(state, open ? null : id),
      }, h("span", null, name), kind === "cross" && !around && h("small", null, "own W_K, W_V"));
    };
    const unit = (id) => h("div", { key: id, class: "lm-unit" },
      view.pre && box(id + ".norm"), box(id), box(id + ".add"));
    const layers = (side, count, kinds) => range(count).map((i) =>
      h("div", { key: `${side}.${i}`, class: `lm-layer lm-${side}` },
        kinds.map((kind) => unit(`${side}.${i}.${kind}`)),
        h("span", { key: "name", class: "lm-layer-name" }, `layer ${i + 1}`)));
    const column = (side, words, last, parts) => h("div", { key: side, class: `lm-column lm-${side}`, role: "group",
      "aria-label": side },
      h("p", { key: "tokens", class: "lm-tokens", "data-wire": side + ".tokens" },
        h("b", null, side === "encoder" ? "source: " : "read so far: "),
        words.map((word, i) => [i ? " " : null, i === last ? h("mark", null, word) : h("span", null, word)])),
      box(side + ".embedding"), parts, h("p", { key: "heading", class: "lm-heading", "aria-hidden": "true" }, side));
    const { num_encoder_layers, num_decoder_layers } = model.config;
    return [
      h("svg", { key: "wires", class: "lm-wires", "aria-hidden": "true" }, ...(state.wires || [])),
      column("encoder", view.source, -1, [
        layers("encoder", num_encoder_layers, ["self", "feed"]), view.pre && box("encoder.norm"), box("memory")]),
      column("decoder", view.read, view.at, [
        layers("decoder", num_decoder_layers, ["self", "cross", "feed"]), view.pre && box("decoder.norm"), box("output"),
        h("p", { key: "next", class: "lm-tokens lm-next", "data-wire": "next" },
          h("b", null, "next word: "), h("span", null, quote(view.next)),
          ` (${number(view.step.probabilities[view.result.ids[view.at]])})`)]),
    ];
  }

  /* Arrows, residual paths and the memory's bus, between the boxes wherever they are now. */
  function wires(state, view) {
    const frame = state.map.getBoundingClientRect();
    state.map.style.setProperty("--lm-height", `${Math.ceil(frame.height)}px`);
    const places = new Map();
    for (const node of state.map.querySelectorAll("[data-part], [data-wire]")) {
      const { left, right, top, bottom } = node.getBoundingClientRect();
      const x = (left + right) / 2 - frame.left;
      places.set(node.dataset.part || node.dataset.wire, {
        x, left: left - frame.left, right: right - frame.left, top: top - frame.top, bottom: bottom - frame.top,
        y: (top + bottom) / 2 - frame.top });
    }
    const drawn = [];
    const line = (d, kind) => drawn.push(h("path", { class: `lm-wire lm-wire-${kind}`, d }));
    const head = (x, y, way, kind) => {
      const s = kind === "memory" ? 7 : 4.5;
      const d = { up: `M${x - s} ${y + s * 1.3}L${x} ${y}L${x + s} ${y + s * 1.3}Z`,
        left: `M${x + s * 1.3} ${y - s}L${x} ${y}L${x + s * 1.3} ${y + s}Z`,
        right: `M${x - s * 1.3} ${y - s}L${x} ${y}L${x - s * 1.3} ${y + s}Z` }[way];
      drawn.push(h("path", { class: `lm-head lm-head-${kind}`, d }));
    };
    for (const side of ["encoder", "decoder"]) {
      const count = view.model.config[`num_${side}_layers`];
      const kinds = side === "encoder" ? ["self", "feed"] : ["self", "cross", "feed"];
      const units = range(count).flatMap((i) => kinds.map((kind) => `${side}.${i}.${kind}`));
      const chain = [[side + ".tokens"], [side + ".embedding"],
        ...units.map((id) => [view.pre ? id + ".norm" : id, id + ".add"]),
        ...(view.pre ? [[side + ".norm"]] : []), [side === "encoder" ? "memory" : "output"],
        ...(side === "decoder" ? [["next"]] : [])];
      const { x } = places.get(units[0] || side + ".embedding");
      chain.slice(1).forEach(([first], i) => {
        const from = places.get(chain[i][chain[i].length - 1]), to = places.get(first);
        if (!from || !to) return;
        line(`M${x} ${from.top}V${to.bottom + 4}`, "flow");
        head(x, to.bottom + 1, "up", "flow");
      });
      for (const id of units) {
        const low = places.get(view.pre ? id + ".norm" : id), add = places.get(id + ".add");
        const out = side === "encoder" ? low.left - 9 : low.right + 9, edge = side === "encoder" ? add.left : add.right;
        line(`M${low.x} ${low.bottom + 9}H${out}V${add.y}H${edge}`, "residual");
        head(edge, add.y, side === "encoder" ? "right" : "left", "residual");
      }
    }
    const memory = places.get("memory");
    const crossings = range(view.model.config.num_decoder_layers).map((i) => places.get(`decoder.${i}.cross`));
    const bus = (memory.right + crossings[0].left) / 2 - 4;
    const ends = [memory.y, ...crossings.map((place) => place.y)];
    line(`M${memory.right} ${memory.y}H${bus}`, "memory");
    line(`M${bus} ${Math.min(...ends)}V${Math.max(...ends)}`, "memory");
    for (const place of crossings) {
      line(`M${bus} ${place.y}H${place.left - 8}`, "memory");
      head(place.left - 1, place.y, "right", "memory");
      drawn.push(h("circle", { class: "lm-head lm-head-memory", cx: bus, cy: place.y, r: 5 }));
    }
    return drawn;
  }

  // ---- Grids of numbers ----

  const ROW = 20, LEVELS = 12, GAP = 56;

  /* A grid: rows and columns with labels, values[row][column], and the axes that they lie on; two
     grids that share an axis light up together. `say(row, column)` puts a cell into words.
     What is drawn already, with the same numbers, is not drawn again. */
  function grid(state, stepId, spec, room) {
    const { title, shape, rows, columns, top, mask } = spec;
    const sameness = JSON.stringify([stepId, title, shape, spec.note, rows, columns, top, mask, room]);
    const old = state.drawings.get(spec.id);
    if (!old || old.values !== spec.values || old.sameness !== sameness) {
      state.drawings.set(spec.id, { values: spec.values, sameness, ...drawGrid(state, stepId, spec, room) });
    }
    const { place, figure } = state.drawings.get(spec.id);
    state.grids.set(spec.id, { ...place, spec });
    return figure;
  }

  function drawGrid(state, stepId, spec, available) {
    const { id, title, shape, role, rows, columns, values, top, mask, digits, share } = spec;
    const count = values[0].length;
    const labelled = Boolean(columns);
    const names = rows.map(shortened);
    const left = Math.ceil(Math.max(0, ...names.map(textWidth))) + 8;
    const heads = labelled ? columns.map(shortened) : [];
    const texts = labelled ? values.map((row) => Array.from(row, (v, c) => cellText(v, c, mask, digits, share))) : [];
    const longest = labelled ? Math.max(...texts.flat().map(textWidth)) : 0;
    const room = available - left - 4;
    let wide, after = 1;
    if (labelled) {
      wide = Math.min(52, Math.max(24, Math.floor((room - 34) / count)));
      after = Math.max(1, ...heads.map((head, c) => textWidth(head) * 0.71 + 10 - (count - 1 - c + 0.5) * wide));
    } else {
      wide = Math.min(count <= 16 ? 11 : 7, Math.max(3, room / count));
    }
    const above = labelled ? Math.ceil(Math.max(...heads.map(textWidth)) * 0.71) + 14 : 1;
    const tall = labelled ? 26 : ROW;
    const fits = labelled && longest + 4 <= wide;
    const cover = fits ? 0.6 : 1;

    const paths = new Map();
    let hatched = "";
    values.forEach((row, r) => {
      for (let c = 0; c < count; c++) {
        const x = left + c * wide, y = above + r * tall;
        if (mask && !mask[c]) {
          hatched += `M${x} ${y + tall}l${wide} ${-tall}M${x} ${y + tall / 2}l${wide / 2} ${-tall / 2}M${x + wide / 2} ${y + tall}l${wide / 2} ${-tall / 2}`;
          continue;
        }
        const level = Math.round((Math.max(-1, Math.min(1, row[c] / top))) * LEVELS);
        if (level) paths.set(level, (paths.get(level) || "") + `M${round(x)} ${y}h${round(wide)}v${tall}h${round(-wide)}z`);
      }
    });
    const width = Math.ceil(left + count * wide + after), height = above + values.length * tall + 1;
    const place = { id, stepId, left, above, wide, tall, rows: values.length, columns: count };
    const svg = h("svg", { class: "lm-cells", width, height, "aria-hidden": "true" },
      h("rect", { class: "lm-paper", x: left, y: above, width: round(count * wide), height: values.length * tall }),
      h("g", null, [...paths.keys()].sort((a, b) => a - b).map((level) => h("path", {
        key: level, class: level > 0 ? `lm-fill-${role}` : "lm-fill-less", d: paths.get(level),
        "fill-opacity": round((Math.abs(level) / LEVELS) * (level > 0 ? cover : cover * 0.75)) }))),
      h("path", { class: "lm-hatch", d: hatched || "M0 0" }),
      h("path", { class: "lm-lines", d: linesOf(place, labelled ? 1 : count) }),
      spec.blocks && h("path", { class: "lm-blocks", d: linesOf(place, spec.blocks) }),
      h("g", { class: "lm-names" }, names.map((name, r) =>
        h("text", { x: left - 6, y: above + r * tall + tall / 2 + 4, "text-anchor": "end" }, name))),
      labelled && h("g", { class: "lm-names" }, heads.map((head, c) => {
        const x = left + (c + 0.5) * wide, y = above - 6;
        return h("text", { x, y, transform: `rotate(-45 ${x} ${y})` }, head);
      })),
      fits && h("g", { class: "lm-numbers" }, texts.flatMap((row, r) => row.map((text, c) =>
        h("text", { x: left + (c + 0.5) * wide, y: above + r * tall + tall / 2 + 4, "text-anchor": "middle",
          class: mask && !mask[c] ? "lm-masked" : null }, text)))),
      h("rect", { class: "lm-lit", width: 0 }), h("rect", { class: "lm-lit", width: 0 }), h("rect", { class: "lm-lit lm-cell", width: 0 }));
    const rule = `full colour at ${share ? "1" : "±" + number(top)}`;
    const figure = h("figure", { key: id, class: `lm-grid lm-${role}` },
      h("figcaption", null, h("b", null, title), h("small", null, [spec.note, shape || `${values.length} × ${count}`, rule].filter(Boolean).join(", "))),
      h("div", {
        class: "lm-frame", tabindex: "0", role: "application", "aria-roledescription": "grid of numbers",
        "aria-label": `${title}: ${values.length} × ${count} numbers; the arrow keys move through them`,
        "data-grid": id, "aria-describedby": `${state.id}-${stepId}-caption`,
        onpointermove: (event) => point(state, event, id), onpointerdown: (event) => point(state, event, id),
        onpointerleave: (event) => { if (event.pointerType === "mouse") settle(state); },
        onfocus: () => { announce(state, stepId, "polite"); move(state, id, 0, 0); },
        onblur: () => { announce(state, stepId, "off"); settle(state, null); },
        onkeydown: (event) => keys(state, event, id),
      }, svg));
    return { place, figure };
  }

  /* Only the caption of the grid that has the focus is read out. */
  function announce(state, stepId, how) {
    for (const caption of state.panel.querySelectorAll("[data-caption]")) {
      if (caption.dataset.caption === stepId) caption.setAttribute("aria-live", how);
    }
  }

  const round = (value) => Math.round(value * 100) / 100;

  function cellText(value, column, mask, digits, share) {
    if (mask && !mask[column]) return share ? "0" : "−∞";
    return number(value, digits === undefined ? 2 : digits);
  }

  function linesOf({ left, above, wide, tall, rows, columns }, stride) {
    let d = range(rows + 1).map((r) => `M${left} ${above + r * tall}h${round(columns * wide)}`).join("");
    for (let c = 0; c <= columns; c += stride) d += `M${round(left + c * wide)} ${above}v${rows * tall}`;
    return d;
  }

  function point(state, event, id) {
    const place = state.grids.get(id), frame = event.currentTarget.querySelector("svg").getBoundingClientRect();
    const c = Math.floor((event.clientX - frame.left - place.left) / place.wide);
    const r = Math.floor((event.clientY - frame.top - place.above) / place.tall);
    if (r < 0 || c < 0 || r >= place.rows || c >= place.columns) return;
    state.cursor = { id, r, c };
    if (event.type === "pointerdown") state.kept = state.cursor;
    light(state);
  }

  function move(state, id, down, right, absolute) {
    const place = state.grids.get(id), now = state.kept && state.kept.id === id ? state.kept : { r: 0, c: 0 };
    const within = (value, size) => Math.max(0, Math.min(size - 1, value));
    const c = absolute === "start" ? 0 : absolute === "end" ? place.columns - 1 : within(now.c + right, place.columns);
    state.kept = state.cursor = { id, r: within(now.r + down, place.rows), c };
    const frame = state.panel.querySelector(`[data-grid="${id}"]`), x = place.left + c * place.wide;
    if (x < frame.scrollLeft || x + place.wide > frame.scrollLeft + frame.clientWidth) frame.scrollLeft = x - frame.clientWidth / 2;
    light(state);
  }

  function keys(state, event, id) {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
      Home: [0, 0, "start"], End: [0, 0, "end"] }[event.key];
    if (!steps || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move(state, id, ...steps);
  }

  /* The mouse has left: back to the cell that the keyboard is at, if any. */
  function settle(state, kept = state.kept) {
    state.kept = kept;
    state.cursor = kept;
    light(state);
  }

  /* Outline the rows and columns that belong to the cell under the cursor, and put it into words. */
  function light(state) {
    if (state.busy) return; // a grid that is being removed loses the focus, and says so
    const { cursor } = state;
    const place = cursor && state.grids.get(cursor.id);
    const live = place && cursor.r < place.rows && cursor.c < place.columns;
    const on = live ? { [place.spec.axes[0]]: cursor.r, [place.spec.axes[1]]: cursor.c } : {};
    for (const frame of state.panel.querySelectorAll("[data-grid]")) {
      const { id, spec, left, above, wide, tall, rows, columns } = state.grids.get(frame.dataset.grid);
      const [row, column, cell] = frame.querySelectorAll(".lm-lit");
      const r = on[spec.axes[0]], c = on[spec.axes[1]];
      outline(row, r < rows && { x: left, y: above + r * tall, width: columns * wide, height: tall });
      outline(column, c < columns && { x: left + c * wide, y: above, width: wide, height: rows * tall });
      outline(cell, live && id === cursor.id && { x: left + c * wide, y: above + r * tall, width: wide, height: tall });
    }
    for (const caption of state.panel.querySelectorAll("[data-caption]")) {
      const mine = live && place.stepId === caption.dataset.caption;
      const text = mine ? place.spec.say(cursor.r, cursor.c) : state.captions.get(caption.dataset.caption);
      if (caption.textContent !== text) caption.textContent = text;
    }
  }

  function outline(rect, where) {
    if (!where) rect.setAttribute("width", 0);
    else for (const [name, value] of Object.entries(where)) rect.setAttribute(name, round(value));
  }

  // ---- What each part shows ----

  /* A matrix of vectors, one a row: `name` in words for the caption. */
  function vectors(id, title, role, rows, values, axes, name, more = {}) {
    return { id, title, role, rows, values, axes, top: largest(values),
      say: (r, c) => `${name} of ${quote(rows[r])}, column ${c + 1} of ${values[0].length}: ${number(values[r][c], 3)}`, ...more };
  }

  function embeddingPart(view, side) {
    const encoder = side === "encoder";
    const { token, position, output } = encoder ? view.encoded.embedding : view.step.embedding;
    const rows = encoder ? view.source : [view.just];
    const size = view.model.config.d_model, axes = ["word", "model"];
    const top = { top: largest(token, position, output) };
    const zero = position.every((row) => row.every((value) => value === 0));
    const where = encoder ? "first word from the last" : "third word from the fourth";
    return [
      { id: "embedding.word", title: "Look up the word",
        text: [`Every word in the vocabulary has a row of ${size} learned numbers.`,
          `The row is multiplied by √${size} = ${number(Math.sqrt(size), Number.isInteger(Math.sqrt(size)) ? 0 : 1)}, so that the position that comes next does not drown it out.`],
        grids: [vectors("token", "word × √d_model", side, rows, token, axes, "word vector", top)],
        caption: "The same word has the same row wherever it appears." },
      { id: "embedding.position", title: "Mark the place",
        text: zero ? ["The positions have been taken away, so these numbers are all zero.", `The model cannot tell the ${where}.`]
          : ["Each position has a fixed pattern of waves: fast ones on the left, slow ones on the right.",
            `Without it, the model could not tell the ${where}.`],
        grids: [vectors("position", "position", side, rows, position, axes, "position", top)],
        caption: "These numbers depend on the position only, whatever the word is." },
      { id: "embedding.sum", title: "Add the two",
        text: ["The sum goes into the first layer.", "From here on, the word and its place travel in the same vector."],
        grids: [vectors("embedded", "word + position", side, rows, output, axes, "sum", { ...top,
          say: (r, c) => `${quote(rows[r])}, column ${c + 1}: ${number(token[r][c], 3)} + ${number(position[r][c], 3)} = ${number(output[r][c], 3)}` })],
        caption: `${quote(rows[0])}, column 1: ${number(token[0][0])} + ${number(position[0][0])} = ${number(output[0][0])}.` },
    ];
  }

  function attentionPart(state, view, { side, layer, kind }) {
    const encoder = side === "encoder", cross = kind === "cross";
    const stack = encoder ? view.encoded.layers : view.step.layers;
    const part = stack[layer][cross ? "crossAttention" : "selfAttention"];
    const h_ = Math.min(state.head, part.heads.length - 1);
    const head = part.heads[h_];
    const asking = encoder ? view.source : [view.just];
    const offering = cross ? view.memoryWords : encoder ? view.source : view.read;
    const own = side, other = cross ? "cross" : side, found = cross ? "cross" : side;
    const dK = head.query[0].length, root = Math.sqrt(dK), size = view.model.config.d_model;
    const mask = cross ? view.encoded.mask : encoder ? visibleWords(view) : null;
    const hidden = mask && mask.some((may) => !may);
    const word = Math.min(encoder ? state.word : 0, asking.length - 1);
    const q = asking[word], weights = head.weights[word];
    const best = indexOfLargest(weights);
    const scored = { role: found, rows: asking, columns: offering, axes: ["query", "key"], top: largest(head.scores), digits: 1 };
    const products = head.value.map((row, k) => Float32Array.from(row, (value) => value * weights[k]));
    const pair = (r, c) => `${quote(asking[r])} with ${quote(offering[c])}`;
    const cache = !encoder && !cross;
    const headed = { note: `head ${h_ + 1}` };
    const stateName = cross ? "decoder state" : "input";
    const input = [vectors("state", cross ? "decoder state" : "input", own, asking, part.h, ["query", "model"], stateName)];
    if (cross) input.push(vectors("memory", "memory", "cross", offering, view.encoded.memories[layer], ["key", "model"], "memory"));
    const reading = `Head ${h_ + 1}: ${quote(q)} looks at ${topKeys(weights, offering, 3)}.`;
    const steps = [
      { id: cross ? "cross.vectors" : cache ? "cached.vectors" : "self.vectors", title: "Make queries, keys and values",
        text: cross ? ["The query comes from the decoder: its state times W_Q asks for what it needs next.",
          "The keys and the values come from the memory, through a W_K and a W_V that belong to this layer alone."]
          : cache ? [`${quote(q)}, the word just read, makes a query, a key and a value.`,
            "The earlier words made their keys and values when they were read; the cache kept them."]
            : ["Every word makes three vectors: W_Q, W_K and W_V are multiplied with the same input.",
              "The query is what a word looks for, the key is how others find it, and the value is what it hands over."],
        wide: true, groups: [input, [
          vectors("query", `Q = ${cross ? "state" : "input"} × W_Q`, own, asking, head.query, ["query", "head"], "query", headed),
          vectors("key", `K = ${cross ? "memory" : "input"} × W_K`, other, offering, head.key, ["key", "head"], "key", headed),
          vectors("value", `V = ${cross ? "memory" : "input"} × W_V`, other, offering, head.value, ["key", "value"], "value", headed)]],
        caption: cross ? `Q has a row for ${quote(q)}; K and V have a row for every vector of the memory.`
          : `Q has ${asking.length === 1 ? "one row" : "a row for every word"}, K and V have a row for every word that may be looked at.` },
      { id: "attention.scores", title: "Compare: scores = Q Kᵀ",
        text: ["Each score is a dot product: multiply a query and a key column by column, then add up.",
          "The score is large if the two point the same way."],
        grids: [{ ...scored, id: "scores", title: "scores", values: head.scores,
          say: (r, c) => `${pair(r, c)}: ${number(head.scores[r][c])}, the sum of ${dK} products; the strongest is ${strongestProduct(head, r, c)}` }],
        caption: `The largest score of ${quote(q)} is ${number(head.scores[word][indexOfLargest(head.scores[word])])}, with ${quote(offering[indexOfLargest(head.scores[word])])}.` },
      { id: "attention.scale", title: `Scale: ÷ √d_k`,
        text: [`Every score is divided by √${dK} = ${number(root, Number.isInteger(root) ? 0 : 2)}.`,
          "Without this, longer vectors would give larger scores, and softmax would put nearly everything on one word."],
        grids: [{ ...scored, id: "scaled", title: "scaled scores", values: head.scaled,
          say: (r, c) => `${pair(r, c)}: ${number(head.scores[r][c])} ÷ ${number(root, Number.isInteger(root) ? 0 : 2)} = ${number(head.scaled[r][c])}` }],
        caption: "The colours are those of the scores above, so you can see them fade." },
      { id: cross ? "cross.mask" : "attention.mask", title: "Mask",
        text: hidden ? ["The hatched words are hidden: their scores become minus infinity.", "Softmax turns that into a weight of exactly 0."]
          : cache ? ["A decoder must not read ahead, so in training the later words are masked.", "Here they have not been written yet, so every score stays."]
            : [`${cross ? "Cross-attention" : "The encoder"} hides only padding.`, "One sentence on its own has no padding, so every score stays."],
        grids: [{ ...scored, id: "masked", title: "masked scores", values: head.scaled, mask,
          say: (r, c) => (mask && !mask[c] ? `${quote(offering[c])} is hidden: minus infinity` : `${pair(r, c)}: ${number(head.scaled[r][c])}, allowed`) }],
        caption: hidden ? `${mask.filter((may) => !may).length} of ${mask.length} columns are hidden.` : offering.length === 1 ? "There is only one column, and it is allowed." : `All ${offering.length} columns are allowed.` },
      { id: "attention.softmax", title: "Softmax: shares that add up to 1",
        text: ["Softmax turns each row into shares that add up to 1.",
          `${quote(q)} takes most, ${number(weights[best])}, from ${quote(offering[best])}.`],
        grids: [{ ...scored, id: "weights", title: "weights", values: head.weights, top: 1, digits: 2, share: true, mask,
          say: (r, c) => `${quote(asking[r])} looks at ${quote(offering[c])} with weight ${small(head.weights[r][c])}` }],
        caption: reading },
      { id: "attention.sum", title: "Mix the values by their weights",
        text: ["Each value is multiplied by its weight, and the results are added up.",
          head.silenced ? "This head is silenced, so its answer is replaced by zeros." : `The sum is this head's answer for ${quote(q)}: ${dK} numbers.`],
        grids: [vectors("products", `weight × V for ${quote(shortened(q))}`, other, offering, products, ["key", "value"], "weighted value", { top: largest(head.value) }),
          vectors("answer", encoder ? "sums, one for each word" : "their sum", found, asking, head.output, ["query", "value"], "answer", { top: largest(head.value) })],
        caption: `The row of ${quote(offering[best])} is the strongest, because its weight is the largest.` },
      { id: "attention.heads", title: "Put the heads side by side, and mix: W_O",
        text: [`The answers of all ${part.heads.length} heads side by side are ${size} numbers again.`,
          part.cut ? "Cross-attention is cut here, so the result is replaced by zeros." : "W_O mixes them into what this sub-layer adds to the word's vector."],
        grids: [vectors("merged", "heads side by side", found, asking, part.merged, ["query", "merged"], "merged answer", { blocks: dK,
          say: (r, c) => `${quote(asking[r])}, head ${Math.floor(c / dK) + 1}, column ${(c % dK) + 1}: ${number(part.merged[r][c], 3)}` }),
        vectors("found", "× W_O", found, asking, part.found, ["query", "model"], "what attention found")],
        caption: silencedText(part) },
    ];
    return { steps, controls: [headChooser(state, part, found, mask), encoder && wordChooser(state, asking, "Follow the word")] };
  }

  /* A word that has no weight in any head of any query is masked. */
  const visibleWords = (view) => view.source.map((_, k) =>
    view.encoded.layers[0].selfAttention.heads.some((head) => head.weights.some((row) => row[k] > 0)));

  function strongestProduct(head, r, c) {
    const products = Array.from(head.query[r], (value, i) => value * head.key[c][i]);
    const best = indexOfStrongest(products);
    return `${number(products[best])} in column ${best + 1}`;
  }

  function topKeys(weights, words, count) {
    return range(weights.length).sort((a, b) => weights[b] - weights[a]).slice(0, count)
      .filter((k, i) => i === 0 || weights[k] >= 0.05)
      .map((k) => `${quote(words[k])} (${number(weights[k])})`).join(", ");
  }

  function silencedText(part) {
    const silent = part.heads.flatMap((head, i) => (head.silenced ? [i + 1] : []));
    return silent.length ? `Silenced: head ${silent.join(", head ")}.` : "The dark lines separate the heads.";
  }

  function normPart(rows, role, before, after, next) {
    const text = (list) => { const { mean, spread } = moments(list[0]); return `mean ${number(mean)}, spread ${number(spread)}`; };
    return [{ id: "norm", title: "Normalise each vector",
      text: ["Each vector is shifted and scaled to mean 0 and spread 1; after that every column has a learned scale and shift of its own.", next],
      grids: [vectors("before", "before", role, rows, before, ["word", "model"], "before the norm"),
        vectors("after", "after", role, rows, after, ["word", "model"], "after the norm")],
      caption: `${quote(rows[0])}: ${text(before)} before; ${text(after)} after.` }];
  }

  function moments(row) {
    const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
    return { mean, spread: Math.sqrt(row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length) };
  }

  function addPart(view, rows, role, part, sublayer, word) {
    const name = sublayer === "feed-forward" ? "the feed-forward network" : sublayer;
    const top = { top: largest(part.x, part.found, part.sum) }, axes = ["word", "model"];
    const row = Math.min(word, rows.length - 1);
    const share = Math.round((100 * lengthOf(part.found[row])) / lengthOf(part.x[row]));
    const steps = [{ id: "add", title: "Add what was found",
      text: [`What ${name} found is added to the vector that came in.`,
        "The old vector is not replaced: it travels on, with something new on top."],
      grids: [vectors("x", "x: what came in", role, rows, part.x, axes, "what came in", top),
        vectors("found", `found: what ${name} adds`, role, rows, part.found, axes, "what was found", top),
        vectors("sum", "= x + found", role, rows, part.sum, axes, "sum", top)],
      caption: part.cut ? "Cross-attention is cut, so nothing is added." : `For ${quote(rows[row])}, the vector that was found is ${share} % as long as the one that came in.` }];
    const next = "The next part gets vectors of a steady size, however much has been added.";
    return view.pre ? steps : [...steps, ...normPart(rows, role, part.sum, part.output, next)];
  }

  function feedPart(state, view, { side, layer }) {
    const encoder = side === "encoder";
    const part = (encoder ? view.encoded : view.step).layers[layer].feedForward;
    const rows = encoder ? view.source : [view.just];
    const word = Math.min(encoder ? state.word : 0, rows.length - 1);
    const size = part.found[0].length, hidden = part.hidden[word];
    const fold = Math.min(64, hidden.length), lines = Math.ceil(hidden.length / fold);
    const on = hidden.reduce((count, value) => count + (value > 0 ? 1 : 0), 0);
    const unit = (r, c) => r * fold + c;
    const names = range(lines).map((i) => `${i * fold + 1}–${Math.min((i + 1) * fold, hidden.length)}`);
    const folded = range(lines).map((i) => hidden.subarray(i * fold, (i + 1) * fold));
    const steps = [
      { id: "feed.widen", title: "Widen, and keep what is positive",
        text: [`Each word's ${size} numbers become ${hidden.length}, without a look at any other word.`,
          "Negative results are set to 0 (ReLU), so only some of the units are on."],
        grids: [vectors("before", "before", side, rows, part.h, ["word", "model"], "input"),
          { id: "hidden", title: `hidden units for ${quote(shortened(rows[word]))}`, shape: `${hidden.length} numbers in ${lines} rows`, role: side, rows: names, values: folded,
            axes: ["line", "unit"], top: largest([hidden]), say: (r, c) => (unit(r, c) < hidden.length
              ? `${quote(rows[word])}, unit ${unit(r, c) + 1}: ${number(hidden[unit(r, c)], 3)}${hidden[unit(r, c)] > 0 ? "" : ", off"}` : "") }],
        caption: `For ${quote(rows[word])}, ${on} of ${hidden.length} units are on.` },
      { id: "feed.narrow", title: "Narrow again",
        text: [`A second matrix turns the ${hidden.length} numbers back into ${size}.`, "This is what the feed-forward network adds to the word's vector."],
        grids: [vectors("after", "after", side, rows, part.found, ["word", "model"], "result")],
        caption: `${encoder ? "Every row was computed from its own row" : "This row was computed from the row"} in step 1, and from nothing else.` },
    ];
    return { steps, controls: [encoder && wordChooser(state, rows, "Show the units of")] };
  }

  function memoryPart(view) {
    const { encoded, memoryWords } = view;
    const memories = encoded.memories.every((memory) => memory.every((row, i) => row.every((value, j) => value === encoded.memories[0][i][j])))
      ? [encoded.memories[0]] : encoded.memories;
    const changed = encoded.memories[0] !== encoded.memory;
    return [{ id: "memory", title: "One vector for every source word",
      text: [changed ? "The encoder's output has been operated on; these vectors are what the decoder gets." : "The encoder hands over one vector for every source word.",
        "Every decoder layer reads the memory, and each makes keys and values from it with its own W_K and W_V."],
      grids: memories.map((memory, i) => vectors("memory" + i, memories.length > 1 ? `memory for decoder layer ${i + 1}` : "memory", "cross",
        memoryWords, memory, ["key", "model"], "memory")),
      caption: "The encoder runs once; these numbers stay the same in every step of the decoder." }];
  }

  function outputPart(view) {
    const { step, model, result, at } = view, { probabilities, logits, hidden } = step;
    const best = range(probabilities.length).sort((a, b) => probabilities[b] - probabilities[a]).slice(0, 8);
    const chosen = result.ids[at];
    if (!best.includes(chosen)) best.push(chosen);
    const count = model.config.vocab_size;
    const table = h("table", { key: "table", class: "lm-table" },
      h("thead", null, h("tr", null, ["word", "logit", "probability"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, best.map((id) => h("tr", { class: id === chosen ? "lm-chosen" : null },
        h("th", { scope: "row" }, model.words[id]), h("td", null, number(logits[id])),
        h("td", null, h("span", { class: "lm-bar", style: `--share:${probabilities[id].toFixed(4)}`, "aria-hidden": "true" }),
          h("span", null, small(probabilities[id])))))));
    return [
      { id: "output.logits", title: "Compare with every word",
        text: [`The decoder's last vector is compared with a vector for each of the ${count} words in the vocabulary.`,
          "Each dot product is that word's logit: the larger, the better the word fits."],
        grids: [vectors("hidden", "decoder output", "decoder", [view.just], [hidden], ["word", "model"], "decoder output")],
        caption: `The largest logit is ${number(logits[best[0]])}, for ${quote(model.words[best[0]])}.` },
      { id: "output.softmax", title: "Turn logits into probabilities",
        text: ["Softmax turns the logits into probabilities that add up to 1.", `The table shows the most probable words; ${quote(view.next)} was written and is read in the next step.`],
        grids: [], extra: table, caption: `${quote(view.next)} has probability ${small(probabilities[chosen])}.` },
    ];
  }

  function contents(state, view, id) {
    const about = readId(id, view.pre), { side, layer, kind, around } = about;
    const encoder = side === "encoder", rows = encoder ? view.source : [view.just];
    const plain = (steps) => ({ steps, controls: [] });
    if (id === "memory") return plain(memoryPart(view));
    if (id === "output") return plain(outputPart(view));
    if (id.endsWith(".embedding")) return plain(embeddingPart(view, side));
    if (id === "encoder.norm") {
      return plain(normPart(rows, side, view.encoded.layers[view.encoded.layers.length - 1].output, view.encoded.memory,
        "What comes out is the memory."));
    }
    if (id === "decoder.norm") {
      return plain(normPart(rows, side, view.step.layers[view.step.layers.length - 1].output, [view.step.hidden],
        "What comes out is compared with every word of the vocabulary."));
    }
    const sublayer = { self: "selfAttention", cross: "crossAttention", feed: "feedForward" }[kind];
    const part = (encoder ? view.encoded : view.step).layers[layer][sublayer];
    if (around === "norm") return plain(normPart(rows, side, part.x, part.h, `So ${about.sublayer} reads numbers of a steady size, however much has been added before.`));
    if (around === "add") return plain(addPart(view, rows, side, part, about.sublayer, encoder ? state.word : 0));
    return kind === "feed" ? feedPart(state, view, about) : attentionPart(state, view, about);
  }

  // ---- Choosing a head and a word ----

  /* A button for each head, with a small picture of its weights: all heads at a glance. */
  function headChooser(state, part, role, mask) {
    return h("div", { key: "heads", class: "lm-heads", role: "group", "aria-label": "Choose a head" },
      part.heads.map((head, i) => {
        const rows = head.weights.length, columns = head.weights[0].length;
        const paths = new Map();
        head.weights.forEach((row, r) => row.forEach((weight, c) => {
          const level = Math.round(weight * LEVELS);
          if (level) paths.set(level, (paths.get(level) || "") + `M${c} ${r}h1v1h-1z`);
        }));
        return h("button", { key: i, type: "button", class: `lm-head-button lm-${role}`, "aria-pressed": String(state.head === i),
          onclick: () => { state.head = i; draw(state); } },
        h("span", null, `head ${i + 1}`, head.silenced && " (silenced)"),
        h("svg", { class: "lm-mini", viewBox: `0 0 ${columns} ${rows}`, preserveAspectRatio: "none", "aria-hidden": "true",
          height: rows === 1 ? 12 : 56 },
        h("rect", { class: "lm-paper", width: columns, height: rows }),
        [...paths.keys()].sort((a, b) => a - b).map((level) =>
          h("path", { key: level, class: `lm-fill-${role}`, "fill-opacity": round(level / LEVELS), d: paths.get(level) }))));
      }));
  }

  function wordChooser(state, words, label) {
    const chosen = Math.min(state.word, words.length - 1);
    return h("div", { key: "words", class: "lm-words", role: "group", "aria-label": label },
      h("span", { class: "lm-label" }, label),
      words.map((word, i) => h("button", { key: i, type: "button", "aria-pressed": String(chosen === i),
        onclick: () => { state.word = i; draw(state); } }, word)));
  }

  // ---- The panel ----

  function panel(state, view) {
    const id = state.options.part, ids = partIds(view.model);
    const reading = view.at === 0 ? "It has read only <bos>, the mark at the beginning"
      : `It has just read ${quote(view.just)}`;
    const now = `Step ${view.at + 1} of ${view.result.steps.length} of the decoder. ${reading}, and the next word is ${quote(view.next)}.`;
    if (!ids.includes(id)) {
      return [h("div", { key: "closed", class: "lm-closed" },
        h("p", { class: "lm-now" }, now),
        h("p", null, "Open any box to see this sentence's numbers inside it. The data goes upwards: first through the encoder, then, word after word, through the decoder."),
        h("p", null, h("button", { type: "button", class: "lm-start", onclick: () => open_(state, "decoder.0.cross") }, "Start with cross-attention")))];
    }
    const about = readId(id, view.pre), { steps, controls } = contents(state, view, id);
    const at = ids.indexOf(id);
    const walk = (to, label, arrow) => h("button", { key: label, type: "button", "aria-disabled": String(!ids[to]),
      "aria-label": ids[to] ? `${label}: ${readId(ids[to], view.pre).name}, ${readId(ids[to], view.pre).place}` : label,
      onclick: () => { if (ids[to]) open_(state, ids[to]); } }, arrow);
    const given = state.options.links || {}, two = steps.length > 3 && state.width >= 1150;
    return [h("div", { key: "open", class: "lm-open" },
      h("div", { class: `lm-title lm-${about.role}` },
        h("div", null, h("h3", { id: state.id + "-title" }, about.name), h("p", null, about.place)),
        h("div", { class: "lm-walk" }, walk(at - 1, "previous part", "↓"), walk(at + 1, "next part", "↑"),
          h("button", { key: "close", type: "button", "aria-label": "close this part", onclick: () => shut(state) }, "×"))),
      h("p", { class: "lm-now" }, now), controls,
      h("ol", { key: "steps", class: two ? "lm-steps lm-two" : "lm-steps" }, steps.map((step) => {
        const caption = step.caption || "Point at a cell, or move to it with the arrow keys, to read it.";
        state.captions.set(step.id, caption);
        const href = given[`${id}.${step.id}`] || given[step.id];
        return h("li", { key: step.id, "data-step": step.id, class: step.wide ? "lm-wide" : null },
          h("h4", null, step.title),
          h("p", { class: "lm-text" }, step.text.join(" "), href && [" ", h("a", { href }, "Build it in the notebook")]),
          (step.groups || [step.grids]).map((group, g) => h("div", { key: g, class: "lm-grids" }, group.map((spec) =>
            grid(state, step.id, { ...spec, id: `${step.id}-${spec.id}` }, roomFor(state, two && !step.wide, step.groups && group.length))))),
          step.extra,
          h("p", { key: "caption", class: "lm-caption", id: `${state.id}-${step.id}-caption`, "data-caption": step.id }));
      })))];
  }

  /* How wide a grid may be: three beside each other share the panel's width if it is enough. */
  function roomFor(state, half, together) {
    if (half) return (state.width - GAP) / 2;
    const third = (state.width - 72) / 3;
    return together === 3 && third >= 200 ? third : state.width;
  }

  // ---- Putting it together ----

  const states = new WeakMap();
  let made = 0;

  function render(root, options) {
    if (!options || !options.model || !options.result) throw new Error("LiveMachine.render needs model and result");
    let state = states.get(root);
    if (!state) {
      state = { id: `lm-${made++}`, root, head: 0, word: 0, cursor: null, kept: null, drawn: 0, drawings: new Map() };
      states.set(root, state);
      fill(root, [h("div", { class: "lm-machine" }, h("div", { class: "lm-room" },
        h("div", { class: "lm-map", role: "group", "aria-label": "The Transformer: its parts, as buttons" }),
        h("section", { class: "lm-panel", id: state.id + "-panel", "aria-label": "The open part" })))]);
      [state.map, state.panel] = root.firstChild.firstChild.childNodes;
      const watch = new ResizeObserver(() => { if (state.panel.clientWidth !== state.seen || state.map.clientWidth !== state.mapSeen) draw(state); });
      watch.observe(state.panel);
      watch.observe(state.map);
    }
    state.options = { ...options };
    draw(state);
  }

  function draw(state) {
    const view = viewOf(state.options);
    state.drawn += 1;
    state.grids = new Map();
    state.captions = new Map();
    fill(state.map, map(state, view));
    // Everything that is measured is measured here, while only the map has changed.
    state.seen = state.panel.clientWidth;
    state.mapSeen = state.map.clientWidth;
    state.width = state.seen - 4;
    state.wires = wires(state, view);
    fill(state.map.firstChild, state.wires);
    state.busy = true;
    fill(state.panel, panel(state, view));
    state.busy = false;
    light(state);
  }

  /* Open a part, or close it with null, and tell the page; draw if the page did not. */
  function open_(state, id) {
    state.options.part = id;
    state.cursor = state.kept = null;
    const before = state.drawn;
    if (state.options.onPart) state.options.onPart(id);
    if (state.drawn === before) draw(state);
    const top = state.panel.getBoundingClientRect().top;
    if (id && (top < 0 || top > innerHeight * 0.6)) {
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      state.panel.scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
    }
  }

  function shut(state) {
    const box = [...state.map.querySelectorAll("[data-part]")].find((node) => node.dataset.part === state.options.part);
    open_(state, null);
    if (box) box.focus();
  }

  return { render, partIds, links };
})();

if (typeof module !== "undefined") module.exports = LiveMachine;
