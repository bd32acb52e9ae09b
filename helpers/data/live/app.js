/* The page itself: what a visitor types, and its translation. */

"use strict";

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const model = LiveModel.loadModel(data);
  const vocabulary = LiveText.makeVocabulary(data);
  const source = document.getElementById("source"), target = document.getElementById("target");

  const show = () => {
    const read = LiveText.readSentence(vocabulary, source.value);
    if (!read.ids) {
      target.textContent = read.unknown.map((u) => `“${u.word}” is not a word that I know. ${u.suggestions.join(", ")}`).join(" ");
      return;
    }
    const { ids } = LiveModel.translate(model, read.ids);
    target.textContent = LiveText.joinWords(ids.filter((id) => id !== model.eos).map((id) => model.words[id]));
  };
  source.addEventListener("input", show);
  source.value = data.sentences.length ? LiveText.joinWords(data.sentences[0].source) : "";
  show();
})();
