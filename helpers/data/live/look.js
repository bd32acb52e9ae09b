/* Look: which words the selected word attends to, for one head, their mean, and all heads of a layer. */

"use strict";

const LiveLook = (() => {
  const { el, svg, refill, percent, quoted } = LiveDom;
  const ROW = 34; // pixels a word takes; the lines rely on it
  const MAPS = {
    cross: { title: "Cross-attention: English looks at German", queries: "English, as it is written", keys: "German, through the memory", verb: "While it writes" },
    encoder: { title: "Encoder self-attention: German looks at German", queries: "German words that look", keys: "German words they look at", verb: "The word" },
    decoder: { title: "Decoder self-attention: English looks back", queries: "English, as it is written", keys: "English written so far", verb: "While it writes" },
  };

  /* { queries, keys, rows }: rows[head][query] are the weights over the keys, for one layer. */
  function attentionOf(view, map, layer) {
    const { result, words } = view;
    const perHead = (heads, pick) => heads.map((_, h) => pick(h));
    if (map === "encoder") {
      const { heads } = result.encoded.layers[layer].selfAttention;
      return { queries: words.source, keys: words.source, rows: perHead(heads, (h) => heads[h].weights), silenced: heads.map((h) => h.silenced) };
    }
    const part = map === "cross" ? "crossAttention" : "selfAttention";
    const { heads, cut } = result.steps[0].layers[layer][part];
    const rows = perHead(heads, (h) => result.steps.map((step) => step.layers[layer][part].heads[h].weights[0]));
    const keys = map === "cross" ? words.memory : words.read;
    return { queries: words.target, keys, rows, cut, silenced: heads.map((h) => h.silenced) };
  }

  function mean(rows) {
    return rows[0].map((row, q) => Float32Array.from(row, (_, k) =>
      rows.reduce((sum, head) => sum + head[q][k], 0) / rows.length));
  }

  /* The keys with the largest weights, the largest first. */
  function strongest(row, count = 3, least = 0.05) {
    return [...row.keys()].sort((a, b) => row[b] - row[a]).slice(0, count).filter((k) => row[k] >= least);
  }

  /* change({ map, layer, head, gold }) and select(query) tell the page what a visitor wants. */
  function make(root, model, { change, select }) {
    const { num_encoder_layers, num_decoder_layers, num_heads } = model.config;
    let view = null, hovered = null, drawn = "", layerShown = 0;

    const choose = (name, options, onchange) => {
      const box = el("select", { "aria-label": name, onchange: () => onchange(box.value) },
        ...options.map(([value, text]) => el("option", { value, text })));
      return { box, label: el("label", {}, name + " ", box) };
    };
    const numbers = (count) => Array.from({ length: count }, (_, i) => [String(i), String(i + 1)]);
    const map = choose("Map", Object.entries(MAPS).map(([key, m]) => [key, m.title]), (value) => change({ map: value }));
    const layer = choose("Layer", numbers(Math.max(num_encoder_layers, num_decoder_layers)), (value) => change({ layer: Number(value) }));
    const head = choose("Head", [["mean", "mean of all"], ...numbers(num_heads)],
      (value) => change({ head: value === "mean" ? "mean" : Number(value) }));
    const gold = el("input", { type: "checkbox", onchange: () => change({ gold: gold.checked }) });
    const goldLabel = el("label", { class: "check" }, gold, " Show which words belong together");

    const queriesTitle = el("p", { class: "role" }), keysTitle = el("p", { class: "role" });
    const queries = el("ol", { class: "queries" }), keys = el("ol", { class: "keys" });
    const lines = svg("svg", { class: "lines", "aria-hidden": "true", preserveAspectRatio: "none" });
    const says = el("p", { class: "says" });
    const heads = el("div", { class: "heads" }), headsTitle = el("h3");
    const figure = el("div", { class: "figure" }, queriesTitle, el("span"), keysTitle, queries, lines, keys);
    root.append(el("div", { class: "choices" }, map.label, layer.label, head.label, goldLabel),
      el("div", { class: "columns look" }, el("div", {}, figure, says), el("div", {}, headsTitle, heads)));

    queries.addEventListener("mouseleave", () => point(null));
    queries.addEventListener("keydown", (event) => {
      const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const all = [...queries.querySelectorAll("button")];
      const next = Math.min(Math.max(all.indexOf(document.activeElement) + steps[event.key], 0), all.length - 1);
      hovered = null;
      select(next);
      queries.querySelectorAll("button")[next].focus();
    });

    const shownRow = () => Math.min(hovered ?? (view.state.look.map === "encoder" ? view.state.look.word : view.state.step),
      view.attention.queries.length - 1);
    const shownRows = () => (view.state.look.head === "mean" ? mean(view.attention.rows) : view.attention.rows[view.state.look.head]);

    /* A word under the mouse is shown, but not selected. */
    function point(q) {
      hovered = q;
      drawRow();
      drawHeads();
    }

    function draw(newView) {
      view = newView;
      const { look } = view.state;
      const layers = look.map === "encoder" ? num_encoder_layers : num_decoder_layers;
      layerShown = Math.min(look.layer, layers - 1);
      view.attention = attentionOf(view, look.map, layerShown);
      root.dataset.map = look.map;
      map.box.value = look.map;
      layer.box.value = String(layerShown);
      [...layer.box.options].forEach((option, i) => { option.hidden = option.disabled = i >= layers; });
      head.box.value = String(look.head);
      gold.checked = look.gold;
      goldLabel.hidden = look.map !== "cross" || !view.gold;
      queriesTitle.textContent = MAPS[look.map].queries;
      keysTitle.textContent = MAPS[look.map].keys;
      const signature = JSON.stringify([look.map, view.attention.queries, view.attention.keys]);
      if (signature !== drawn) hovered = null;
      drawn = signature;
      refill(queries, view.attention.queries.map((word, q) => el("li", {}, el("button", {
        type: "button", text: word, "data-key": String(q), onclick: () => select(q),
        onmouseenter: () => point(q),
      }))));
      keys.replaceChildren(...view.attention.keys.map((word) => el("li", {}, el("span", { text: word }), el("b"))));
      const height = ROW * Math.max(view.attention.queries.length, view.attention.keys.length);
      lines.setAttribute("viewBox", `0 0 100 ${height}`);
      lines.style.height = `${height}px`;
      drawRow();
      drawHeads();
    }

    /* The selected word: its lines, the shading of the keys, and the sentence below. */
    function drawRow() {
      const rows = shownRows(), q = shownRow(), row = rows[q], { look } = view.state;
      const curve = (from, to) => `M0 ${from * ROW + ROW / 2} C 45 ${from * ROW + ROW / 2}, 55 ${to * ROW + ROW / 2}, 100 ${to * ROW + ROW / 2}`;
      const paths = [];
      rows.forEach((weights, other) => weights.forEach((weight, k) => {
        if (weight < 0.1 || other === q) return;
        paths.push(svg("path", { d: curve(other, k), "stroke-width": 1.5, "stroke-opacity": (0.16 * weight).toFixed(3) }));
      }));
      row.forEach((weight, k) => {
        if (weight < 0.01) return;
        paths.push(svg("path", { d: curve(q, k), "stroke-width": (1 + 5 * weight).toFixed(2), "stroke-opacity": (0.2 + 0.8 * weight).toFixed(2) }));
      });
      lines.replaceChildren(...paths);
      [...queries.children].forEach(({ firstChild: button }, i) => {
        button.setAttribute("aria-pressed", String(i === q));
        button.tabIndex = i === q ? 0 : -1;
      });
      const golden = new Set(look.map === "cross" && look.gold && view.gold ? view.gold.filter(([t]) => t === q).map(([, s]) => s) : []);
      [...keys.children].forEach((item, k) => {
        const weight = row[k] || 0;
        item.style.setProperty("--weight", weight.toFixed(3));
        item.classList.toggle("gold", golden.has(k));
        item.classList.toggle("hidden-word", look.map !== "decoder" && view.hidden.has(k));
        item.lastChild.textContent = weight >= 0.05 ? percent(weight) : "";
        item.setAttribute("aria-label", `${view.attention.keys[k]}${weight >= 0.05 ? " " + percent(weight) : ""}`);
      });
      says.textContent = saysOf(q, row);
    }

    function saysOf(q, row) {
      const { look } = view.state, { queries: asked, keys: found, cut, silenced } = view.attention;
      const seen = strongest(row).map((k) => `${quoted(found[k])} (${percent(row[k])})`);
      const who = look.head === "mean" ? "the average of all heads" : `head ${look.head + 1}`;
      const looks = look.map === "encoder" ? `From ${quoted(asked[q])}, ` : `While the model writes ${quoted(asked[q])}, `;
      if (look.map === "cross" && view.state.ops.average) return "The memory is one single vector now, so there is nothing to choose from.";
      const off = cut ? " But this layer’s cross-attention is cut, so nothing of it arrives."
        : look.head !== "mean" && silenced[look.head] ? " But this head is silenced, so nothing of it arrives." : "";
      return `${looks}${who} looks at ${seen.length ? seen.join(", ") : "nothing in particular"}.${off}`;
    }

    /* All heads of the layer, each a small map; under it the word that the selected row finds. */
    function drawHeads() {
      const { queries: asked, keys: found, rows, silenced } = view.attention, q = shownRow();
      const { look } = view.state, size = 10;
      headsTitle.textContent = `All heads of layer ${layerShown + 1}, at ${quoted(asked[q])}`;
      refill(heads, rows.map((weights, h) => {
        const cells = weights.flatMap((row, y) => [...row].map((weight, x) => [x, y, weight]))
          .filter(([, , weight]) => weight >= 0.04)
          .map(([x, y, weight]) => svg("rect", { x: x * size, y: y * size, width: size - 1, height: size - 1, "fill-opacity": weight.toFixed(2) }));
        if (look.map === "cross" && look.gold && view.gold) {
          cells.push(...view.gold.map(([t, s]) => svg("rect", { class: "gold-cell", x: s * size, y: t * size, width: size - 1, height: size - 1 })));
        }
        const best = strongest(weights[q], 1, 0)[0];
        const picture = svg("svg", { viewBox: `-1 -1 ${found.length * size + 1} ${asked.length * size + 1}`, "aria-hidden": "true" },
          ...cells, svg("rect", { class: "row", x: -0.5, y: q * size - 0.5, width: found.length * size, height: size }));
        return el("button", { type: "button", "data-key": `head ${h}`, "aria-pressed": String(look.head === h), onclick: () => change({ head: look.head === h ? "mean" : h }) },
          el("span", { class: "head-name", text: `Head ${h + 1}${silenced[h] ? " (silent)" : ""}` }), picture,
          el("span", { class: "finds", text: `${quoted(found[best])} ${percent(weights[q][best])}` }));
      }));
    }

    return { draw, said: () => says.textContent };
  }

  return { MAPS, make, attentionOf, mean, strongest };
})();
