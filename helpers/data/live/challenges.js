/* Challenges: eight tasks that tell at once when they are solved.

check(now) -> { solved, text }. now: { before, after: words, ops, look, word: the word being written,
forced, plain(ops) -> the words that the model writes with other ops }. `solution` is one way to do it:
what it sets of ops, look, step and force. The page leaves out a task that its model cannot do. */

"use strict";

const LiveChallenges = (() => {
  const SENTENCE = "Gestern hat der kleine Hund den Ball gefunden.";
  const BOOK = "Der Lehrer hat das Buch nicht gelesen.";
  const join = (words) => words.join(" ").replace(/ ([.,])/g, "$1");
  const quote = (words) => `“${join(words)}”`;
  const same = (a, b) => a.join(" ") === b.join(" ");
  const { noOps } = typeof require === "function" ? require("./operate.js") : LiveOperate;
  /* Which kinds of operations were used. */
  const used = (ops) => Object.entries(noOps()).filter(([key, none]) => JSON.stringify(ops[key]) !== JSON.stringify(none)).map(([key]) => key);
  const only = (ops, ...keys) => used(ops).every((key) => keys.includes(key));
  const not = (text) => ({ solved: false, text });
  const done = (text) => ({ solved: true, text });

  const TASKS = [
    {
      id: "deny", title: "Take the “not” away", sentence: BOOK,
      task: "Make the model say that the teacher did read the book. Hide one German word.",
      check({ after, ops }) {
        if (!only(ops, "hide") || ops.hide.length !== 1) return not("Hide one word, and do nothing else.");
        return same(after, "the teacher read the book .".split(" "))
          ? done("The word “nicht” was the only place where the model could read the “not”.")
          : not(`It says ${quote(after)} Try another word.`);
      },
      solution: { ops: { hide: [5] } },
    },
    {
      id: "verb", title: "Find the odd head", sentence: SENTENCE,
      task: "When the model writes “found”, three heads in the last cross-attention layer look at “gefunden”. One looks at “hat”. Select “found”, and choose that head in Look.",
      check({ look, word, strongest }) {
        if (word !== "found") return not("First select “found”.");
        if (look.map !== "cross" || look.head === "mean") return not("Now choose a single head of the cross-attention.");
        return look.layer === 1 && strongest === "hat"
          ? done("That is the one. It reads the helping verb, and that is where German shows the tense.")
          : not(`This head looks at “${strongest}”.`);
      },
      solution: { look: { map: "cross", layer: 1, head: 3 }, step: 3 },
    },
    {
      id: "tense", title: "Change only the tense", sentence: BOOK,
      task: "Silence one head so that the past becomes the present and nothing else changes.",
      check({ after, ops }) {
        if (!only(ops, "silence") || ops.silence.length !== 1) return not("Silence exactly one head, and do nothing else.");
        return same(after, "the teacher does not read the book .".split(" "))
          ? done("“Did” has become “does”. This head reads “hat”, and without it the model falls back on the present.")
          : not("The sentence is still in the past. Which head reads “hat”?");
      },
      solution: { ops: { silence: [{ where: "cross", layer: 1, head: 3 }] } },
    },
    {
      id: "who", title: "Make it forget who seeks whom", sentence: "Den Hund sucht die Katze.",
      task: "The cat seeks the dog. Make the model say that the dog seeks the cat, without typing.",
      check({ after, ops }) {
        if (!used(ops).length) return not("Operate on the German words or on the model.");
        return same(after, "the dog seeks the cat .".split(" "))
          ? done("Only the ending of “den” says that the dog is the object. Without it, whoever comes first is the one who seeks.")
          : not(`It says ${quote(after)} Which German word shows the case?`);
      },
      solution: { ops: { hide: [0] } },
    },
    {
      id: "memory", title: "Translate what is not there", sentence: SENTENCE,
      task: "Leave the German as it is, and make the model write about a child that sleeps now.",
      check({ after, ops }) {
        if (!only(ops, "memoryOf") || !used(ops).length) return not("Which part of the model knows what the German says? Swap that, and do nothing else.");
        return same(after, "the child sleeps now .".split(" "))
          ? done("The decoder never sees the German words. It only sees the memory.")
          : not(`It says ${quote(after)} Try another sentence’s memory.`);
      },
      solution: { ops: { memoryOf: "Jetzt schläft das Kind." } },
    },
    {
      id: "layer", title: "Lose exactly one word", sentence: SENTENCE,
      task: "Cut cross-attention in one layer so that the dog is no longer little, and everything else stays.",
      check({ after, ops }) {
        if (!only(ops, "cut") || ops.cut.length !== 1) return not("Cut exactly one layer, and do nothing else.");
        return same(after, "the dog found the ball yesterday .".split(" "))
          ? done("The other layer carries almost everything on its own.") : not(`It says ${quote(after)} Try the other layer.`);
      },
      solution: { ops: { cut: [0] } },
    },
    {
      id: "many", title: "Ten silent heads", sentence: SENTENCE,
      task: "Silence ten heads at once without changing a single word of the translation.",
      check({ before, after, ops }) {
        const count = ops.silence.length;
        if (!only(ops, "silence")) return not("Only silence heads here.");
        if (!same(before, after)) return not(`${count} silent, but now it says ${quote(after)} Bring one back.`);
        return count >= 10 ? done(`${count} heads are silent, and nobody notices. For this sentence, their work is done by others.`)
          : not(`${count} of 10 are silent, and the translation is still right.`);
      },
      solution: { ops: { silence: [0, 1].flatMap((layer) => [0, 1, 2, 3].map((head) => ({ where: "encoder", layer, head })))
        .concat([{ where: "decoder", layer: 0, head: 0 }, { where: "decoder", layer: 0, head: 1 }]) } },
    },
    {
      id: "blur", title: "Find the breaking point", sentence: SENTENCE,
      task: "Blur the memory as much as you can while the translation stays right. One step more must break it.",
      check({ before, after, ops, plain }) {
        if (!only(ops, "blur") || !ops.blur) return not("Move the blur slider, and do nothing else.");
        if (!same(before, after)) return not("Too far: the translation has changed.");
        const more = Math.min(1, Math.round(20 * ops.blur + 1) / 20);
        return same(before, plain({ ...ops, blur: more })) ? not("Still right. You can go further.")
          : done(`At ${Math.round(100 * ops.blur)}% it is right, at ${Math.round(100 * more)}% it breaks. Attention only needs the vectors to differ a little.`);
      },
      solution: { ops: { blur: 0.65 } },
    },
  ];

  /* start(task) loads its sentence, show(task) applies its solution, stop() ends it. */
  function make(root, { tasks, start, show, stop }) {
    const { el, toggle } = LiveDom;
    const solved = new Set(), list = root.appendChild(el("ol", { class: "tasks" }));
    const cards = tasks.map((task, i) => {
      const says = el("p", { class: "says", "aria-live": "polite" });
      const begin = toggle("Start", { class: "main", onclick: () => start(task), "aria-label": `Start: ${task.title}` });
      const reveal = toggle("Show me", { onclick: () => show(task), "aria-label": `Show me: ${task.title}` });
      const end = toggle("Stop", { onclick: () => { stop(); begin.focus(); }, "aria-label": `Stop: ${task.title}` });
      const title = el("h3", {}, el("span", { class: "number", text: String(i + 1) }), " " + task.title);
      const node = el("li", { class: "card", "data-task": task.id }, title, el("p", { text: task.task }),
        el("p", { class: "hint", lang: "de", text: task.sentence }), says, el("div", { class: "player" }, begin, reveal, end));
      list.append(node);
      return { task, node, says, begin, reveal, end };
    });
    const count = root.appendChild(el("p", { class: "says" }));

    /* active: the task's id; now: what check wants. -> { title, solved, text } of the active task */
    function draw(active, now) {
      let told = null;
      for (const { task, node, says, begin, reveal, end } of cards) {
        const isActive = task.id === active;
        const result = isActive ? task.check(now) : null;
        if (result && result.solved) solved.add(task.id);
        if (result) told = { title: task.title, ...result };
        node.classList.toggle("active", isActive);
        node.classList.toggle("solved", solved.has(task.id));
        const text = result ? (result.solved ? "✓ Solved. " : "") + result.text : solved.has(task.id) ? "✓ Solved." : "";
        if (says.textContent !== text) says.textContent = text;
        begin.textContent = isActive ? "Start again" : "Start";
        reveal.hidden = end.hidden = !isActive;
      }
      count.textContent = solved.size ? `${solved.size} of ${cards.length} solved.` : "";
      return told;
    }

    return { draw };
  }

  return { TASKS, make };
})();

if (typeof module !== "undefined") module.exports = LiveChallenges;
