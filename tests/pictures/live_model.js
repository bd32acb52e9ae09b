/* Runs helpers/data/live/model.js for test_live_model.py: node live_model.js FOLDER < jobs.json

jobs: { data, sentences: [{ source, surgery, options }], trace, texts }. It prints
{ translations, index, read, errors, milliseconds }; where `trace` is true every intermediate goes
to FOLDER/numbers.f32, and index[sentence] lists [name, how many numbers] in the order written. */

"use strict";

const fs = require("fs");
const path = require("path");
const folder = path.join(__dirname, "..", "..", "helpers", "data", "live");
const LiveModel = require(path.join(folder, "model.js"));
const LiveText = require(path.join(folder, "text.js"));

const jobs = JSON.parse(fs.readFileSync(0, "utf8"));
const started = performance.now();
const model = LiveModel.loadModel(jobs.data);
const loaded = performance.now() - started;
const out = jobs.trace ? fs.openSync(path.join(process.argv[2], "numbers.f32"), "w") : null;

function subLayer(name, parts, note) {
  // parts: the same sub-layer in each step; the encoder has one "step" with all rows.
  const rows = (get) => parts.flatMap(get);
  for (const key of ["x", "h", "found", "sum", "output"]) note(`${name}.${key}`, rows((p) => p[key]));
  if (parts[0].hidden) note(`${name}.hidden`, rows((p) => p.hidden));
  if (!parts[0].heads) return;
  note(`${name}.merged`, rows((p) => p.merged));
  parts[0].heads.forEach((_, h) => {
    for (const key of ["query", "scores", "scaled", "weights", "output"]) {
      note(`${name}.${h}.${key}`, rows((p) => p.heads[h][key]));
    }
    const last = parts[parts.length - 1].heads[h]; // the cache has grown to all keys by then
    for (const key of ["key", "value"]) note(`${name}.${h}.${key}`, last[key]);
  });
}

function trace(result, note) {
  const { encoded, steps } = result;
  for (const key of ["token", "position", "output"]) {
    note(`source.${key}`, encoded.embedding[key]);
    note(`target.${key}`, steps.flatMap((s) => s.embedding[key]));
  }
  encoded.layers.forEach((layer, i) => {
    subLayer(`encoder.${i}.self_attention`, [layer.selfAttention], note);
    subLayer(`encoder.${i}.feed_forward`, [layer.feedForward], note);
    note(`encoder.${i}.output`, layer.output);
  });
  note("memory", encoded.memory);
  encoded.memories.forEach((memory, i) => note(`memories.${i}`, memory));
  steps[0].layers.forEach((_, i) => {
    const layers = steps.map((s) => s.layers[i]);
    subLayer(`decoder.${i}.self_attention`, layers.map((l) => l.selfAttention), note);
    subLayer(`decoder.${i}.cross_attention`, layers.map((l) => l.crossAttention), note);
    subLayer(`decoder.${i}.feed_forward`, layers.map((l) => l.feedForward), note);
    note(`decoder.${i}.output`, layers.flatMap((l) => l.output));
  });
  note("hidden", steps.map((s) => s.hidden));
  note("logits", steps.map((s) => s.logits));
  note("probabilities", steps.map((s) => s.probabilities));
}

const answer = { translations: [], index: [], errors: [], milliseconds: [], loaded };
for (const { source, surgery, options } of jobs.sentences || []) {
  const before = performance.now();
  let result = null, error = null;
  try {
    const { seed, ...rest } = options || {};
    if (seed !== undefined) rest.random = LiveModel.seededRandom(seed);
    result = LiveModel.translate(model, source, { surgery: surgery || {}, ...rest });
  } catch (problem) {
    error = problem.message;
  }
  answer.milliseconds.push(performance.now() - before);
  answer.translations.push(result && result.ids);
  answer.errors.push(error);
  if (jobs.trace && result) {
    const names = [];
    trace(result, (name, rows) => {
      const numbers = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
      let at = 0;
      for (const row of rows) { numbers.set(row, at); at += row.length; }
      fs.writeSync(out, new Uint8Array(numbers.buffer));
      names.push([name, numbers.length]);
    });
    answer.index.push(names);
  }
}
if (jobs.texts) {
  const vocabulary = LiveText.makeVocabulary(jobs.data);
  answer.read = jobs.texts.map((text) => LiveText.readSentence(vocabulary, text));
  answer.joined = answer.read.map((read) => LiveText.joinWords(read.words));
  answer.completions = jobs.texts.map((text) => LiveText.completions(vocabulary, text, 8));
}
process.stdout.write(JSON.stringify(answer));
