/* Share: the state of the page as a link's fragment and back, and a picture of what is looked at.

A link may come from anybody: `read` keeps what fits this model and drops the rest. For example
  #s=Den+Hund+sucht+die+Katze.&word=3&hide=1&head=2&at=look
is this sentence with its first word hidden, seen at the third English word through head 2 of the last
layer. &at= names a section to scroll to; &task= starts a challenge. */

"use strict";

const LiveShare = (() => {
  const { noOps } = typeof require === "function" ? require("./operate.js") : LiveOperate;
  const LETTERS = { e: "encoder", d: "decoder", c: "cross" };
  const letterOf = (where) => where[0];
  const numbers = (list) => list.map((n) => n + 1).join(",");

  /* The state as the text after #. People may read it: layers, heads and words count from 1. */
  function write(state) {
    const { ops, look } = state, fragment = new URLSearchParams();
    const put = (name, value, wanted = Boolean(value)) => { if (wanted) fragment.set(name, value); };
    put("s", state.text, true);
    put("word", state.step + 1);
    put("force", state.force.join(" "));
    put("temperature", state.temperature);
    put("draw", state.seed, state.temperature > 0);
    put("silence", ops.silence.map((s) => `${letterOf(s.where)}${s.layer + 1}.${s.head + 1}`).join(","));
    put("cut", numbers(ops.cut));
    put("memory", ops.memoryOf);
    put("blur", Math.round(100 * ops.blur));
    put("average", 1, ops.average);
    put("hide", numbers(ops.hide));
    put("move", ops.move && `${ops.move.from + 1}-${ops.move.to + 1}`);
    put("reverse", 1, ops.reverse);
    put("nopositions", ops.positions.join(","));
    put("rewire", 1, ops.layerByLayer);
    put("map", look.map, look.map !== "cross");
    put("layer", look.layer + 1);
    put("head", look.head === "mean" ? "" : look.head + 1);
    put("german", look.word + 1, look.map === "encoder");
    put("gold", 1, look.gold);
    put("part", state.part);
    put("task", state.task);
    return fragment.toString();
  }

  /* The fragment on top of `start`, a fresh state. limits: { encoder, decoder, heads }. */
  function read(fragment, start, limits) {
    let given;
    try { given = new URLSearchParams(fragment.replace(/^#/, "")); } catch { return start; }
    const state = { ...start, ops: noOps(), look: { ...start.look } }, { ops, look } = state;
    const whole = (text, size) => (/^\d{1,4}$/.test(text || "") && Number(text) >= 1 && Number(text) <= size ? Number(text) - 1 : null);
    const list = (name, size) => [...new Set((given.get(name) || "").split(",").map((x) => whole(x, size)).filter((x) => x !== null))];
    const text = (name, most) => (given.has(name) ? given.get(name).slice(0, most) : null);

    state.text = text("s", 1000) ?? start.text;
    state.step = whole(given.get("word"), 1000) ?? (given.has("s") ? 0 : start.step);
    state.force = (text("force", 1000) || "").split(" ").filter(Boolean);
    const degrees = Number(given.get("temperature"));
    if (degrees >= 0 && degrees <= 1.5) state.temperature = degrees;
    state.seed = (whole(given.get("draw"), 9999) ?? 0) + 1;
    for (const item of (given.get("silence") || "").split(",")) {
      const [, letter, l, h] = /^([edc])(\d{1,2})\.(\d{1,2})$/.exec(item) || [];
      const where = LETTERS[letter];
      const layer = whole(l, where === "encoder" ? limits.encoder : limits.decoder), head = whole(h, limits.heads);
      if (where && layer !== null && head !== null && !ops.silence.some((s) => s.where === where && s.layer === layer && s.head === head)) {
        ops.silence.push({ where, layer, head });
      }
    }
    ops.cut = list("cut", limits.decoder).sort();
    ops.memoryOf = text("memory", 1000) || null;
    const blur = Number(given.get("blur"));
    if (blur > 0 && blur <= 100) ops.blur = Math.round(blur) / 100;
    ops.average = given.get("average") === "1";
    ops.hide = list("hide", 1000);
    const [from, to] = (given.get("move") || "").split("-").map((x) => whole(x, 1000));
    if (from != null && to != null && from !== to) ops.move = { from, to };
    ops.reverse = given.get("reverse") === "1";
    ops.positions = ["source", "target"].filter((side) => (given.get("nopositions") || "").split(",").includes(side));
    ops.layerByLayer = given.get("rewire") === "1" && limits.encoder === limits.decoder;
    if (["encoder", "decoder"].includes(given.get("map"))) look.map = given.get("map");
    look.layer = whole(given.get("layer"), Math.max(limits.encoder, limits.decoder)) ?? start.look.layer;
    look.head = whole(given.get("head"), limits.heads) ?? "mean";
    look.word = whole(given.get("german"), 1000) ?? 0;
    look.gold = given.get("gold") === "1";
    state.part = text("part", 60) || null;
    state.task = text("task", 20) || null;
    return state;
  }

  /* What is looked at as one <svg> on white. view: { words, state }, shown: { queries, keys, rows, row }. */
  function picture(view, shown, done) {
    const { svg, percent } = LiveDom, ROW = 30, WIDTH = 720, TOP = 118;
    const INK = "#1F2937", MUTED = "#5B6472";
    const COLOURS = { encoder: "#2B74D8", decoder: "#B87900", cross: "#D6307F" };
    const { queries, keys, rows, row: selected, map } = shown, colour = COLOURS[map];
    const height = TOP + ROW * Math.max(queries.length, keys.length) + 50;
    const text = (x, y, words, more = {}) => svg("text", { x, y, fill: INK, "font-size": 15, text: words, ...more });
    const left = 250, right = 470, y = (i) => TOP + i * ROW;
    const whole = (words) => LiveDom.sentence(words).map(String).join("");
    const parts = [
      svg("rect", { width: WIDTH, height, fill: "#FFFFFF" }),
      text(24, 32, whole(view.words.typed), { fill: COLOURS.encoder, "font-size": 18 }),
      text(24, 58, whole(view.words.after), { fill: COLOURS.decoder, "font-size": 18, "font-weight": "bold" }),
      text(24, 82, done.length ? done.join("; ") : "the model as it was trained", { fill: MUTED, "font-size": 13 }),
    ];
    rows.forEach((weights, q) => weights.forEach((weight, k) => {
      if (weight < 0.05) return;
      const strong = q === selected;
      parts.push(svg("path", { d: `M${left + 8} ${y(q)} C ${left + 90} ${y(q)}, ${right - 90} ${y(k)}, ${right - 8} ${y(k)}`, fill: "none", stroke: colour,
        "stroke-width": strong ? (1 + 5 * weight).toFixed(2) : 1.2, "stroke-opacity": (strong ? 0.2 + 0.8 * weight : 0.3 * weight).toFixed(2) }));
    }));
    queries.forEach((word, q) => parts.push(text(left, y(q) + 5, word, { "text-anchor": "end", "font-weight": q === selected ? "bold" : "normal" })));
    keys.forEach((word, k) => {
      const weight = rows[selected][k] || 0;
      parts.push(svg("rect", { x: right, y: y(k) - 12, width: 130, height: 24, rx: 4, fill: colour, "fill-opacity": (0.6 * weight).toFixed(2) }),
        text(right + 8, y(k) + 5, word), text(right + 140, y(k) + 5, weight >= 0.05 ? percent(weight) : "", { fill: MUTED, "font-size": 13 }));
    });
    parts.push(text(24, height - 16, `${shown.title}, layer ${shown.layer + 1}, ${shown.head === "mean" ? "mean of all heads" : `head ${shown.head + 1}`} · Understanding Transformers`, { fill: MUTED, "font-size": 12 }));
    return svg("svg", { xmlns: "http://www.w3.org/2000/svg", width: WIDTH, height, viewBox: `0 0 ${WIDTH} ${height}`, "font-family": "system-ui, 'DejaVu Sans', sans-serif" }, ...parts);
  }

  const address = (node) => "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(node));

  function download(href, name) {
    LiveDom.el("a", { href, download: name }).click();
  }

  function savePicture(node, kind) {
    if (kind === "svg") return Promise.resolve(download(address(node), "translation.svg"));
    return new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => {
        const canvas = LiveDom.el("canvas", { width: 2 * image.width, height: 2 * image.height });
        canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
        resolve(download(canvas.toDataURL("image/png"), "translation.png"));
      };
      image.onerror = () => reject(new Error("The picture could not be drawn."));
      image.src = address(node);
    });
  }

  return { write, read, picture, savePicture };
})();

if (typeof module !== "undefined") module.exports = LiveShare;
