/* Small tools for the page: make elements, refill them, compare two sentences.

Text from a visitor or from the data only ever becomes textContent. `LiveDom` is the only name. */

"use strict";

const LiveDom = (() => {
  /* el("button", { class: "main", onclick: f, text: "Play" }, child, …) */
  function el(tag, properties = {}, ...children) {
    return dress(document.createElement(tag), properties, children);
  }

  function svg(tag, properties = {}, ...children) {
    return dress(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
  }

  function dress(node, properties, children) {
    for (const [name, value] of Object.entries(properties)) {
      if (name === "text") node.textContent = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  /* New children for root. What had the focus gets it back, if its data-key is still there. */
  function refill(root, children) {
    const focused = root.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    root.replaceChildren(...children);
    if (focused === undefined) return;
    const next = [...root.querySelectorAll("[data-key]")].find((node) => node.dataset.key === focused);
    if (next) next.focus({ preventScroll: true });
  }

  /* Which words two sentences share, in order: { gone, added }, arrays of booleans for a and b. */
  function changes(a, b) {
    const best = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        best[i][j] = a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
      }
    }
    const gone = a.map(() => true), added = b.map(() => true);
    for (let i = 0, j = 0; i < a.length && j < b.length;) {
      if (a[i] === b[j]) gone[i++] = added[j++] = false;
      else if (best[i + 1][j] >= best[i][j + 1]) i++;
      else j++;
    }
    return { gone, added };
  }

  /* Words as a sentence, the marked ones in elements of this tag (<ins> or <del>). */
  function sentence(words, marked = [], tag = "ins") {
    return words.flatMap((word, i) => {
      const text = i === 0 ? word.slice(0, 1).toUpperCase() + word.slice(1) : word;
      const space = i === 0 || word === "." || word === "," ? [] : [" "];
      return [...space, marked[i] ? el(tag, { text }) : text];
    });
  }

  const percent = (share) => `${Math.round(100 * share)}%`;
  const quoted = (word) => `“${word}”`;
  const toggle = (name, properties) => el("button", { type: "button", text: name, ...properties });

  return { el, svg, refill, changes, sentence, percent, quoted, toggle };
})();

if (typeof module !== "undefined") module.exports = LiveDom;
