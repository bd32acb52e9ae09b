/* From what a visitor types to the words and ids that the model reads.

  const vocabulary = LiveText.makeVocabulary(data);          // data: the JSON of live_page.export
  const read = LiveText.readSentence(vocabulary, text);      // never throws, whatever the text

readSentence: { words, ids, changes, unknown, foreign, unusual, empty, english, tooLong, sentences }
  words      as the vocabulary spells them, with a full stop at the end
  ids        what encode and translate take, <eos> last; null if empty, tooLong, english, or a word is unknown
  changes    what was read differently from what was typed: [{ index, from, to }]; `index` counts words.
             A capital at the beginning of a sentence is no change
  unknown    words that are not in the vocabulary: [{ index, word, suggestions }], the nearest first
  foreign    words that the model only knows from the other language: [{ index, word }]
  unusual    in training no word like `word` ever followed one like `before`, which is "." at the
             beginning of a sentence: [{ index, before, word }]; empty if data.order is missing
  empty      true if there is no word;  english: true if the sentence looks like English
  tooLong    true if the model has too few positions;  sentences: how many there are; it learned one
LiveText.completions(vocabulary, beginning, count) -> words that start so
LiveText.joinWords(words) -> a sentence as people write it

helpers/corpora/reading.py is the same in Python, and the definition of what is right: change both. */

"use strict";

const LiveText = (() => {
  // English words that a visitor is likely to use and the corpus may not have.
  const ENGLISH = new Set(("the a is are was were am be and of to with my your his her this that it he she we they "
    + "you i do does did not has have had where what who why how when will would can").split(" "));

  function makeVocabulary(data) {
    const special = new Set(Object.values(data.special));
    const ids = new Map();
    data.words.forEach((word, id) => { if (!special.has(id)) ids.set(word, id); });
    const source = data.source_words ? data.source_words.map((id) => data.words[id]) : [...ids.keys()];
    const spellings = new Map(); // spelled alike but for case and umlauts
    for (const word of source) spellings.set(folded(word), [...(spellings.get(folded(word)) || []), word]);
    return { ids, source: new Set(source), spellings, follows: makeFollows(data.order), eos: data.special.eos, maxLength: data.config.max_length };
  }

  /* follows(before, word): whether training had two words of their classes side by side. */
  function makeFollows(order) {
    if (!order) return () => true;
    const classOf = new Map();
    order.forEach((row, i) => row.words.forEach((word) => classOf.set(word, i)));
    const then = order.map((row) => new Set(row.then));
    return (before, word) => classOf.has(before) && then[classOf.get(before)].has(classOf.get(word));
  }

  function readSentence(vocabulary, text) {
    const words = [], changes = [], unknown = [], foreign = [];
    let first = true, sentences = 0;
    for (const typed of splitWords(vocabulary, text)) {
      const index = words.length, isStop = typed === ".";
      if (isStop && first) continue; // "..." or "?!": one end is enough
      const word = spelling(vocabulary, typed, first);
      words.push(word || typed);
      if (!word) unknown.push({ index, word: typed, suggestions: [] });
      else if (word !== typed && !(first && word === lowerFirst(typed))) changes.push({ index, from: typed, to: word });
      if (word && !vocabulary.source.has(word)) foreign.push({ index, word });
      if (isStop) sentences += 1;
      first = isStop;
    }
    const empty = words.every((word) => word === "," || word === ".");
    if (!first) {
      sentences += 1;
      if (vocabulary.ids.has(".")) words.push(".");
    }
    const tooLong = words.length + 1 > vocabulary.maxLength;
    if (!tooLong) for (const found of unknown) found.suggestions = nearest(vocabulary, found.word, 3);
    const english = !empty && looksEnglish(vocabulary, words, unknown, foreign);
    const ids = empty || tooLong || english || unknown.length
      ? null : [...words.map((word) => vocabulary.ids.get(word)), vocabulary.eos];
    const unusual = ids && !foreign.length ? unusualPairs(vocabulary, words) : [];
    return { words, ids, changes, unknown, foreign, unusual, empty, english, tooLong, sentences };
  }

  function unusualPairs(vocabulary, words) {
    return words.map((word, index) => ({ index, before: index ? words[index - 1] : ".", word }))
      .filter(({ before, word }) => !vocabulary.follows(before, word));
  }

  /* Words and punctuation, one after the other. Composed letters (NFC), no invisible ones. */
  function splitWords(vocabulary, text) {
    const plain = String(text).normalize("NFC").replace(/[\u00AD\u200B-\u200D\u2060\uFEFF]/g, "");
    const words = [];
    for (const chunk of plain.match(/[.,]|[^\s.,]+/g) || []) {
      if (vocabulary.ids.has(chunk)) words.push(chunk);
      else words.push(...splitPunctuation(chunk));
    }
    return words;
  }

  /* Ends of sentences become full stops; quotation marks, brackets, dashes and the like go. */
  function splitPunctuation(chunk) {
    return chunk.replace(/[!?…]+/g, " . ").replace(/[^\p{L}\p{M}\p{N}.'’<>$&%@#_-]+/gu, " ")
      .replace(/(^|\s)['’-]+|['’-]+(?=\s|$)/g, " ").split(" ").filter(Boolean);
  }

  /* The word as the vocabulary spells it, or null. A sentence's first word may be written large. */
  function spelling(vocabulary, word, first) {
    if (vocabulary.ids.has(word)) return word;
    if (first && vocabulary.ids.has(word.toLowerCase())) return word.toLowerCase();
    const alike = vocabulary.spellings.get(folded(word)) || [];
    if (alike.length === 1) return alike[0];
    return !alike.length && vocabulary.ids.has(word.toLowerCase()) ? word.toLowerCase() : null;
  }

  function lowerFirst(word) {
    const [letter, ...rest] = word;
    return letter.toLowerCase() + rest.join("");
  }

  /* "Mädchen", "mädchen" and "MAEDCHEN" -> "maedchen". */
  function folded(word) {
    return word.toLowerCase().replace(/[äöüß]/g, (c) => ({ ä: "ae", ö: "oe", ü: "ue", ß: "ss" })[c]);
  }

  /* Without case and dots: "Tür" -> "tur". */
  function bare(word) {
    return word.toLowerCase().normalize("NFD").replace(/\p{M}/gu, "");
  }

  /* The nearest words of the source language: at most two letters off, one for short words. */
  function nearest(vocabulary, word, count) {
    const typed = bare(word), length = letters(word).length;
    if (!typed || length > 40) return [];
    const most = letters(typed).length <= 3 ? 1 : 2;
    const found = [];
    for (const known of vocabulary.source) {
      if (Math.abs(letters(known).length - length) > most + 1 || !/\p{L}/u.test(known)) continue;
      const plain = bare(known);
      const far = Math.min(distance(word.toLowerCase(), known.toLowerCase()), distance(typed, plain) + 0.25);
      if (far <= most + 0.25) found.push({ known, far: letters(plain)[0] === letters(typed)[0] ? far : far + 0.5 });
    }
    return found.sort((a, b) => a.far - b.far || (a.known < b.known ? -1 : 1)).slice(0, count).map(({ known }) => known);
  }

  /* The letters of a word, each whole: a string of JavaScript's counts some as two. */
  function letters(word) {
    return Array.from(word);
  }

  /* How many letters to insert, delete, replace, or swap with their neighbour. */
  function distance(one, other) {
    const a = letters(one), b = letters(other);
    let before = [], last = Array.from({ length: b.length + 1 }, (_, j) => j);
    for (let i = 1; i <= a.length; i++) {
      const row = [i];
      for (let j = 1; j <= b.length; j++) {
        row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
        const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
        if (swapped) row[j] = Math.min(row[j], before[j - 2] + 1);
      }
      [before, last] = [last, row];
    }
    return last[b.length];
  }

  function looksEnglish(vocabulary, words, unknown, foreign) {
    const english = foreign.length + unknown.filter((u) => ENGLISH.has(u.word.toLowerCase())).length;
    const source = words.filter((word) => /\p{L}/u.test(word) && vocabulary.source.has(word)).length;
    return english > source;
  }

  function completions(vocabulary, beginning, count = 8) {
    const start = folded(beginning.normalize("NFC")), plain = beginning.toLowerCase();
    if (!start) return [];
    return [...vocabulary.source] // "ma" may become "Mädchen", but "mä" not "Mann"
      .filter((word) => folded(word).startsWith(start) || bare(word).startsWith(plain))
      .sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
      .slice(0, count);
  }

  function joinWords(words) {
    const text = words.join(" ").replace(/ ([.,])/g, "$1");
    return text.slice(0, 1).toUpperCase() + text.slice(1);
  }

  return { makeVocabulary, readSentence, completions, nearest, distance, joinWords };
})();

if (typeof module !== "undefined") module.exports = LiveText;
