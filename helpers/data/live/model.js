/* The Transformer of this series in plain JavaScript: one file, no library, no network.

It computes what helpers/attention.py, layers.py, encoder.py, decoder.py, transformer.py and
decoding.py compute, under the same names, and a test compares every number with torch's. It runs
in a page (as a classic script; `LiveModel` is the only global name) and in node (`require`).

How to read it. A list of vectors, one for each word, is an array of Float32Arrays: x[position] has
d_model numbers. Sentences are read alone, so there is no batch and no padding. The decoder reads
one word at a time, so it needs no causal mask: the words it must not see are not written yet.

THE FUNCTIONS A PAGE CALLS

  const model = LiveModel.loadModel(data);           // data: the JSON of live_page.export
  const encoded = LiveModel.encode(model, sourceIds, surgery);
  const state = LiveModel.startDecoding(model, encoded, surgery);
  const step = LiveModel.decodeStep(model, state, id, surgery);      // the first id is model.bos
  const result = LiveModel.translate(model, sourceIds, { surgery, maxLength, prefix, temperature,
                                                         random, choose });

sourceIds end in model.eos, as everywhere in this series. All of these throw an Error that names
the argument if something does not fit.

translate: { ids, ended, encoded, steps }
  ids      what was written, without <bos>; its last id is model.eos if `ended`
  steps    one for each id: steps[t] has read every word before ids[t], and ids[t] was chosen from
           its probabilities
  It always takes the most probable word, unless you say otherwise:
  prefix       these ids are written first, whatever the model expects; to put another word at t:
               prefix = [...result.ids.slice(0, t), other]
  temperature  above 0, words are drawn at random; `random()` gives numbers in [0, 1), and
               seededRandom(7) gives the same numbers each time
  choose       a function step -> id that replaces both

encode: { ids, order, embedding, layers, memory, read, memories, mask }
  ids         the words in the order in which they were read; order[i] is where word i came from
  embedding   { token, position, output }: √d_model times the word's row, its position, their sum
  layers[i]   { selfAttention, feedForward, output }, two sub-layers as below
  memory      what the encoder hands over, after its last norm if it has one
  read        the encoding whose memory the decoder gets: this one, or another sentence's
  memories    the memory as each decoder layer gets it, after all surgery: memories[layer]
  mask        which of those vectors may be looked at; null if all may

decodeStep: { position, id, embedding, layers, hidden, logits, probabilities }
  id             the word read in this step, at this position
  layers[i]      { selfAttention, crossAttention, feedForward, output }
  hidden         the decoder's output, one vector; logits: Float32Array(vocab_size)
  probabilities  of the next word; <pad> and <bos> are never next, so theirs is 0

A sub-layer: { x, h, found, sum, output, … }
  x       what comes in: the residual stream
  h       what the sub-layer reads: x itself, or in pre-norm its norm
  found   what the sub-layer found;  sum: x + found;  output: the sum, in post-norm its norm
  A feed-forward also has `hidden`, after the ReLU. An attention also has
  heads[h]   { query, key, value, scores, scaled, weights, output, silenced }; rows of scores,
             scaled and weights are queries, their columns are keys
  merged     the outputs of all heads side by side, before w_o;  cut: true if surgery cut it

In a decoder step each of these lists has one row, that of the word just read; key and value have
one row for each word read so far, or for each vector of the memory.

SURGERY: an object with any of these. Layers, heads and positions count from 0.

  silence: [{ where: "encoder" | "decoder" | "cross", layer, head }, …]
                       the head's output becomes zeros before w_o; its weights are still shown
  cutCross: "all" | [layer, …]    cross-attention of these layers adds nothing (found is zeros)
  memoryOf: ids        the decoder gets the memory of this sentence, encoded with the same heads
                       and positions; words are hidden, moved and reversed in sourceIds only
  layerByLayer: true   decoder layer i gets encoder layer i's output, through the encoder's last norm
  blur: 0 … 1          each vector of the memory becomes (1 - blur) · itself + blur · their mean
  average: true        the memory becomes one vector, the mean of those that may be looked at
  hide: [position, …]  nobody may look at these words, as if they were padding; the positions of
                       the others stay.  hideFrom: "decoder" hides them from cross-attention only
  move: { from, to }   the word at `from` is taken out and put back at `to`; <eos> stays last
  reverse: true        the words are read from the last to the first; <eos> stays last
  withoutPositions: ["source", "target"]    no position vectors are added there

Several at once happen in this order: move, reverse, hide (which names positions in the order
read), withoutPositions, silence, memoryOf, layerByLayer, blur, average, cutCross. */

"use strict";

const LiveModel = (() => {
  // ---- Attention: helpers/attention.py, notebooks 01 to 03 ----

  /* softmax(Q Kᵀ / √d_k) V. mask[key] is true where one may look; null: everywhere. */
  function attention(query, key, value, mask) {
    const scores = query.map((q) => Float32Array.from(key, (k) => dot(q, k)));
    const scale = Math.sqrt(query[0].length);
    const scaled = scores.map((row) => row.map((score) => score / scale));
    const weights = scaled.map((row) => maskedSoftmax(row, mask));
    const output = weights.map((row) => weightedSum(row, value));
    return { scores, scaled, weights, output };
  }

  /* Shares that add up to 1; what is masked gets 0. If everything is masked, all are 0. */
  function maskedSoftmax(scores, mask) {
    const shares = new Float32Array(scores.length);
    let largest = -Infinity, total = 0;
    for (let i = 0; i < scores.length; i++) {
      if ((!mask || mask[i]) && scores[i] > largest) largest = scores[i];
    }
    for (let i = 0; i < scores.length; i++) {
      if (mask && !mask[i]) continue;
      shares[i] = Math.exp(scores[i] - largest);
      total += shares[i];
    }
    for (let i = 0; i < shares.length && total > 0; i++) shares[i] /= total;
    return shares;
  }

  /* Queries come from x, keys and values from the context, or from a cache that has them already.
     silenced[head] is true where the head's output is to become zeros. */
  function multiHeadAttention(part, x, context, mask, cache, silenced) {
    const query = splitHeads(linear(part.wQ, x), part.numHeads);
    const { key, value } = cache ? cache.update(part, context) : keysValues(part, context);
    const heads = query.map((_, h) => {
      const head = attention(query[h], key[h], value[h], mask);
      if (silenced && silenced[h]) head.output = head.output.map((row) => new Float32Array(row.length));
      return { query: query[h], key: key[h], value: value[h], ...head, silenced: Boolean(silenced && silenced[h]) };
    });
    const merged = mergeHeads(heads.map((head) => head.output));
    return { heads, merged, found: linear(part.wO, merged) };
  }

  function keysValues(part, context) {
    return {
      key: splitHeads(linear(part.wK, context), part.numHeads),
      value: splitHeads(linear(part.wV, context), part.numHeads),
    };
  }

  /* x[position] of d_model numbers -> [head][position] of d_k: each head gets its own columns. */
  function splitHeads(x, numHeads) {
    const dK = x[0].length / numHeads;
    return range(numHeads).map((h) => x.map((row) => row.subarray(h * dK, (h + 1) * dK)));
  }

  /* The inverse of splitHeads. */
  function mergeHeads(heads) {
    const dK = heads[0][0].length;
    return heads[0].map((_, position) => {
      const row = new Float32Array(heads.length * dK);
      heads.forEach((head, h) => row.set(head[position], h * dK));
      return row;
    });
  }

  // ---- The cache: helpers/cache.py, notebook 10 ----

  /* Appends the new words' keys and values to those of the past. */
  function selfAttentionCache() {
    let kept = null;
    return {
      update(part, context) {
        const { key, value } = keysValues(part, context);
        kept = kept
          ? { key: kept.key.map((rows, h) => [...rows, ...key[h]]),
              value: kept.value.map((rows, h) => [...rows, ...value[h]]) }
          : { key, value };
        return kept;
      },
    };
  }

  /* Computes the memory's keys and values once and keeps them. */
  function crossAttentionCache() {
    let kept = null;
    return {
      update(part, context) {
        if (!kept) kept = keysValues(part, context);
        return kept;
      },
    };
  }

  // ---- The other parts of a block: helpers/layers.py, notebook 04 ----

  /* Two linear maps with a ReLU between them, applied to each position alone. */
  function feedForward(part, x) {
    const hidden = linear(part.w1, x).map((row) => row.map((value) => Math.max(value, 0)));
    return { hidden, found: linear(part.w2, hidden) };
  }

  /* What the sub-layer reads: x itself, or in pre-norm its norm. */
  function before(part, x) {
    return part.normFirst ? layerNorm(part.norm, x) : x;
  }

  /* Add what the sub-layer found to x, and in post-norm take the norm. */
  function addNorm(part, x, found) {
    const sum = x.map((row, i) => row.map((value, j) => value + found[i][j]));
    return { sum, output: part.normFirst ? sum : layerNorm(part.norm, sum) };
  }

  /* Each vector gets mean 0 and variance 1, then a learned scale and shift. null: as it is. */
  function layerNorm(norm, x) {
    if (!norm) return x;
    return x.map((row) => {
      let mean = 0, variance = 0;
      for (const value of row) mean += value / row.length;
      for (const value of row) variance += (value - mean) ** 2 / row.length;
      const scale = 1 / Math.sqrt(variance + 1e-5);
      return row.map((value, i) => (value - mean) * scale * norm.weight[i] + norm.bias[i]);
    });
  }

  /* Sines in even columns, cosines in odd ones; one wavelength for each pair of columns. */
  function sinusoidalPosition(position, dModel) {
    return Float32Array.from({ length: dModel }, (_, column) => {
      const angle = position / 10_000 ** ((column - (column % 2)) / dModel);
      return column % 2 ? Math.cos(angle) : Math.sin(angle);
    });
  }

  /* √d_model times the words' rows, plus their positions; `start` words came before. */
  function embed(table, ids, start, withPositions) {
    const dModel = table.weight[0].length;
    const token = ids.map((id) => table.weight[id].map((value) => value * Math.sqrt(dModel)));
    const position = ids.map((_, i) =>
      withPositions ? sinusoidalPosition(start + i, dModel) : new Float32Array(dModel));
    const output = token.map((row, i) => row.map((value, j) => value + position[i][j]));
    return { token, position, output };
  }

  // ---- Encoder and decoder: helpers/encoder.py and decoder.py, notebooks 05 to 08 ----

  function encoderLayer(layer, x, mask, silenced) {
    let h = before(layer.addNormSelf, x); // look around: the source looks at the source
    let found = multiHeadAttention(layer.selfAttention, h, h, mask, null, silenced);
    const selfAttention = { x, h, ...found, ...addNorm(layer.addNormSelf, x, found.found) };

    x = selfAttention.output;
    h = before(layer.addNormFf, x); // think: each position by itself
    found = feedForward(layer.feedForward, h);
    const thinking = { x, h, ...found, ...addNorm(layer.addNormFf, x, found.found) };
    return { selfAttention, feedForward: thinking, output: thinking.output };
  }

  /* cut: cross-attention finds nothing. */
  function decoderLayer(layer, y, memory, mask, cache, silenced, cut) {
    let h = before(layer.addNormSelf, y); // look back: the target looks at the target
    let found = multiHeadAttention(layer.selfAttention, h, h, null, cache.own, silenced.decoder);
    const selfAttention = { x: y, h, ...found, ...addNorm(layer.addNormSelf, y, found.found) };

    y = selfAttention.output;
    h = before(layer.addNormCross, y); // look across: the target looks at the source
    found = multiHeadAttention(layer.crossAttention, h, memory, mask, cache.across, silenced.cross);
    if (cut) found.found = y.map((row) => new Float32Array(row.length));
    const crossAttention = { x: y, h, ...found, cut, ...addNorm(layer.addNormCross, y, found.found) };

    y = crossAttention.output;
    h = before(layer.addNormFf, y); // think: each position by itself
    found = feedForward(layer.feedForward, h);
    const thinking = { x: y, h, ...found, ...addNorm(layer.addNormFf, y, found.found) };
    return { selfAttention, crossAttention, feedForward: thinking, output: thinking.output };
  }

  /* The source sentence -> everything the encoder computed, and what the decoder will get of it. */
  function encode(model, sourceIds, surgery = {}) {
    checkIds(model, "sourceIds", sourceIds);
    checkSurgery(model, surgery, sourceIds);
    const order = rearranged(model, sourceIds, surgery);
    const ids = order.map((i) => sourceIds[i]);
    const hidden = new Set(surgery.hide);
    const visible = hidden.size ? ids.map((_, i) => !hidden.has(i)) : null;
    const mask = surgery.hideFrom === "decoder" ? null : visible;

    const embedding = embed(model.sourceEmbedding, ids, 0, !drops(surgery, "source"));
    let x = embedding.output;
    const layers = model.encoder.layers.map((layer, i) => {
      const done = encoderLayer(layer, x, mask, silencedHeads(model, surgery, "encoder", i));
      x = done.output;
      return done;
    });
    const encoded = { ids, order, embedding, layers, memory: layerNorm(model.encoder.norm, x) };
    return { ...encoded, ...handOver(model, encoded, visible, surgery) };
  }

  /* The memory that each decoder layer gets, and what of it may be looked at. */
  function handOver(model, encoded, mask, surgery) {
    let read = encoded;
    if (surgery.memoryOf) {
      const { silence, withoutPositions } = surgery;
      read = encode(model, surgery.memoryOf, { silence, withoutPositions });
      mask = null;
    }
    let memories = model.decoder.layers.map((_, i) =>
      surgery.layerByLayer ? layerNorm(model.encoder.norm, read.layers[i].output) : read.memory);
    if (surgery.blur) {
      memories = memories.map((memory) => {
        const mean = meanVector(memory, mask);
        return memory.map((row) => row.map((v, j) => (1 - surgery.blur) * v + surgery.blur * mean[j]));
      });
    }
    if (surgery.average) {
      memories = memories.map((memory) => [meanVector(memory, mask)]);
      mask = null;
    }
    return { read, memories, mask };
  }

  /* What the decoder keeps from one word to the next. */
  function startDecoding(model, encoded, surgery = {}) {
    checkSurgery(model, surgery);
    const caches = model.decoder.layers.map(() => ({ own: selfAttentionCache(), across: crossAttentionCache() }));
    return { encoded, caches, length: 0 };
  }

  /* Read one more word of the target; what does the model expect after it? */
  function decodeStep(model, state, id, surgery = {}) {
    checkIds(model, "id", [id], state.length);
    const position = state.length;
    const embedding = embed(model.targetEmbedding, [id], position, !drops(surgery, "target"));
    let y = embedding.output;
    const layers = model.decoder.layers.map((layer, i) => {
      const silenced = {
        decoder: silencedHeads(model, surgery, "decoder", i),
        cross: silencedHeads(model, surgery, "cross", i),
      };
      const cut = surgery.cutCross === "all" || (surgery.cutCross || []).includes(i);
      const { memories, mask } = state.encoded;
      const done = decoderLayer(layer, y, memories[i], mask, state.caches[i], silenced, cut);
      y = done.output;
      return done;
    });
    state.length += 1;
    const hidden = layerNorm(model.decoder.norm, y);
    const logits = linear(model.output, hidden)[0];
    const probabilities = nextProbabilities(model, logits, 1);
    return { position, id, embedding, layers, hidden: hidden[0], logits, probabilities };
  }

  // ---- Decoding: helpers/decoding.py, notebook 10 ----

  function translate(model, sourceIds, options = {}) {
    const { surgery = {}, prefix = [], temperature = 0, random = Math.random } = options;
    const limit = Math.min(model.config.max_length, sourceIds.length + 50);
    const { maxLength = limit } = options;
    if (!(maxLength >= 1 && maxLength <= model.config.max_length)) {
      throw new Error(`maxLength must lie in [1, ${model.config.max_length}], got ${maxLength}`);
    }
    if (!(temperature >= 0)) throw new Error(`temperature must not be negative, got ${temperature}`);
    if (prefix.length) checkIds(model, "prefix", prefix);
    const choose = options.choose || ((step) => (temperature > 0
      ? draw(nextProbabilities(model, step.logits, temperature), random())
      : mostProbable(step.probabilities)));

    const encoded = encode(model, sourceIds, surgery);
    const state = startDecoding(model, encoded, surgery);
    const ids = [], steps = [];
    let id = model.bos;
    while (id !== model.eos && ids.length < maxLength) {
      const step = decodeStep(model, state, id, surgery);
      id = ids.length < prefix.length ? prefix[ids.length] : choose(step);
      steps.push(step);
      ids.push(id);
    }
    return { ids, ended: id === model.eos, encoded, steps };
  }

  /* softmax of the logits; no sentence goes on with <pad> or <bos>. */
  function nextProbabilities(model, logits, temperature) {
    const allowed = new Array(logits.length).fill(true);
    allowed[model.pad] = allowed[model.bos] = false;
    return maskedSoftmax(logits.map((value) => value / temperature), allowed);
  }

  function mostProbable(probabilities) {
    let best = 0;
    for (let i = 1; i < probabilities.length; i++) if (probabilities[i] > probabilities[best]) best = i;
    return best;
  }

  /* The ids of the `count` most probable words, the most probable first. */
  function topWords(probabilities, count) {
    return range(probabilities.length).sort((a, b) => probabilities[b] - probabilities[a]).slice(0, count);
  }

  /* The word in whose share of [0, 1) the number falls. */
  function draw(probabilities, number) {
    let rest = number;
    for (let i = 0; i < probabilities.length; i++) {
      rest -= probabilities[i];
      if (rest < 0) return i;
    }
    return mostProbable(probabilities); // the shares add up to a hair less than 1
  }

  /* Numbers in [0, 1), the same ones for the same seed (mulberry32, public domain). */
  function seededRandom(seed) {
    let a = seed | 0;
    return () => {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  // ---- Surgery ----

  const WHERE = ["encoder", "decoder", "cross"];
  const KNOWN = ["silence", "cutCross", "memoryOf", "layerByLayer", "blur", "average", "hide", "hideFrom",
    "move", "reverse", "withoutPositions"];

  /* Positions of the source in the order in which the encoder reads them. */
  function rearranged(model, sourceIds, surgery) {
    const order = range(sourceIds.length);
    const last = sourceIds[sourceIds.length - 1] === model.eos ? order.splice(-1) : [];
    if (surgery.move) {
      const [taken] = order.splice(surgery.move.from, 1);
      order.splice(surgery.move.to, 0, taken);
    }
    if (surgery.reverse) order.reverse();
    return [...order, ...last];
  }

  function silencedHeads(model, surgery, where, layer) {
    if (!surgery.silence || !surgery.silence.length) return null;
    return range(model.config.num_heads).map((head) =>
      surgery.silence.some((s) => s.where === where && s.layer === layer && s.head === head));
  }

  function drops(surgery, side) {
    return (surgery.withoutPositions || []).includes(side);
  }

  /* Throws an Error if this surgery is impossible for this model or for this source. */
  function checkSurgery(model, surgery, sourceIds = null) {
    const { num_heads, num_encoder_layers, num_decoder_layers } = model.config;
    const need = (fits, text) => { if (!fits) throw new Error("surgery." + text); };
    const within = (value, size) => Number.isInteger(value) && value >= 0 && value < size;
    for (const name of Object.keys(surgery)) need(KNOWN.includes(name), `${name} is not one of ${KNOWN.join(", ")}`);
    for (const { where, layer, head } of surgery.silence || []) {
      const size = where === "encoder" ? num_encoder_layers : num_decoder_layers;
      need(WHERE.includes(where), `silence: where must be one of ${WHERE.join(", ")}, got ${where}`);
      need(within(layer, size), `silence: layer must lie in [0, ${size}), got ${layer}`);
      need(within(head, num_heads), `silence: head must lie in [0, ${num_heads}), got ${head}`);
    }
    if (surgery.cutCross && surgery.cutCross !== "all") {
      for (const i of surgery.cutCross) {
        need(within(i, num_decoder_layers), `cutCross: layers must lie in [0, ${num_decoder_layers}), got ${i}`);
      }
    }
    need(!surgery.layerByLayer || num_encoder_layers === num_decoder_layers,
      "layerByLayer needs as many encoder as decoder layers");
    need(surgery.blur === undefined || (surgery.blur >= 0 && surgery.blur <= 1),
      `blur must lie in [0, 1], got ${surgery.blur}`);
    need([undefined, "everywhere", "decoder"].includes(surgery.hideFrom),
      `hideFrom must be "everywhere" or "decoder", got ${surgery.hideFrom}`);
    for (const side of surgery.withoutPositions || []) {
      need(["source", "target"].includes(side), `withoutPositions: sides are "source" and "target", got ${side}`);
    }
    if (surgery.memoryOf) checkIds(model, "surgery.memoryOf", surgery.memoryOf);
    if (!sourceIds) return;
    const length = sourceIds.length, words = length - (sourceIds[length - 1] === model.eos ? 1 : 0);
    for (const i of surgery.hide || []) need(within(i, length), `hide: positions must lie in [0, ${length}), got ${i}`);
    const { from = 0, to = 0 } = surgery.move || {};
    need(!surgery.move || (within(from, words) && within(to, words)),
      `move: from and to must lie in [0, ${words}), got ${from} and ${to}`);
  }

  // ---- Arithmetic: what torch does for the Python code ----

  function range(count) {
    return Array.from({ length: count }, (_, i) => i);
  }

  /* The sum of all products. It keeps four sums at once, because each addition would otherwise
     have to wait for the one before. */
  function dot(a, b) {
    let sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0, i = 0;
    for (; i + 3 < a.length; i += 4) {
      sum0 += a[i] * b[i];
      sum1 += a[i + 1] * b[i + 1];
      sum2 += a[i + 2] * b[i + 2];
      sum3 += a[i + 3] * b[i + 3];
    }
    for (; i < a.length; i++) sum0 += a[i] * b[i];
    return sum0 + sum1 + sum2 + sum3;
  }

  /* The rows' sum, each times its weight. */
  function weightedSum(weights, rows) {
    const sum = new Float64Array(rows[0].length);
    for (let i = 0; i < rows.length; i++) {
      for (let j = 0; j < sum.length; j++) sum[j] += weights[i] * rows[i][j];
    }
    return Float32Array.from(sum);
  }

  /* The mean of the rows that the mask lets through. */
  function meanVector(rows, mask) {
    const counted = rows.map((_, i) => (!mask || mask[i] ? 1 : 0));
    const total = counted.reduce((a, b) => a + b, 0);
    return weightedSum(counted.map((c) => (total ? c / total : 0)), rows);
  }

  /* x Wᵀ + b, for each row of x. weight[output] is the row of numbers that makes this output. */
  function linear({ weight, bias }, x) {
    return x.map((row) => {
      const result = new Float32Array(weight.length);
      for (let o = 0; o < result.length; o++) result[o] = dot(weight[o], row) + (bias ? bias[o] : 0);
      return result;
    });
  }

  // ---- Loading ----

  /* data as helpers/pictures/live_page.py exports it -> the model, its parts named as in Python. */
  function loadModel(data) {
    const { config, words, special, tensors } = data;
    const tensor = (name) => {
      if (!tensors[name]) throw new Error(`data.tensors has no ${name}`);
      const numbers = readNumbers(tensors[name]);
      const size = tensors[name].shape.reduce((a, b) => a * b, 1);
      if (numbers.length !== size) throw new Error(`${name} must have ${size} numbers, got ${numbers.length}`);
      return numbers;
    };
    const matrix = (name) => {
      const numbers = tensor(name + ".weight");
      const [outputs, inputs] = tensors[name + ".weight"].shape;
      const weight = range(outputs).map((o) => numbers.subarray(o * inputs, (o + 1) * inputs));
      return { weight, bias: tensors[name + ".bias"] ? tensor(name + ".bias") : null };
    };
    const norm = (name) => ({ weight: tensor(name + ".weight"), bias: tensor(name + ".bias") });
    const addNormPart = (name) => ({ norm: norm(name + ".norm"), normFirst: config.norm_first });
    const attentionPart = (name) => ({
      numHeads: config.num_heads,
      wQ: matrix(name + ".w_q"), wK: matrix(name + ".w_k"), wV: matrix(name + ".w_v"), wO: matrix(name + ".w_o"),
    });
    const feedForwardPart = (name) => ({ w1: matrix(name + ".w_1"), w2: matrix(name + ".w_2") });
    const encoderPart = (name) => ({
      selfAttention: attentionPart(name + ".self_attention"),
      addNormSelf: addNormPart(name + ".add_norm_self"),
      feedForward: feedForwardPart(name + ".feed_forward"),
      addNormFf: addNormPart(name + ".add_norm_ff"),
    });
    const decoderPart = (name) => ({
      ...encoderPart(name),
      crossAttention: attentionPart(name + ".cross_attention"),
      addNormCross: addNormPart(name + ".add_norm_cross"),
    });
    // A post-norm layer ends in a norm already, so that such a stack has none on top.
    const lastNorm = (name) => (config.norm_first ? norm(name + ".norm") : null);
    const sourceEmbedding = matrix("source_embedding.token");
    return {
      config, words,
      pad: special.pad, bos: special.bos, eos: special.eos, unk: special.unk,
      sourceEmbedding,
      targetEmbedding: config.tied_embeddings ? sourceEmbedding : matrix("target_embedding.token"),
      encoder: {
        layers: range(config.num_encoder_layers).map((i) => encoderPart(`encoder.layers.${i}`)),
        norm: lastNorm("encoder"),
      },
      decoder: {
        layers: range(config.num_decoder_layers).map((i) => decoderPart(`decoder.layers.${i}`)),
        norm: lastNorm("decoder"),
      },
      output: config.tied_embeddings ? sourceEmbedding : matrix("output"),
    };
  }

  /* Base64 -> Float32Array. "float32": four bytes each. "int16": two bytes, whole numbers from
     -32767 to 32767, and one scale for the whole tensor. */
  function readNumbers({ kind, scale, data }) {
    const text = atob(data), bytes = new Uint8Array(text.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
    if (kind === "float32") return new Float32Array(bytes.buffer);
    const whole = new Int16Array(bytes.buffer), numbers = new Float32Array(whole.length);
    for (let i = 0; i < numbers.length; i++) numbers[i] = whole[i] * scale;
    return numbers;
  }

  function checkIds(model, name, ids, start = 0) {
    const { vocab_size, max_length } = model.config;
    if (!ids.length) throw new Error(`${name} must hold at least one id`);
    if (start + ids.length > max_length) {
      throw new Error(`${name} must have at most ${max_length} positions, got ${start + ids.length}`);
    }
    for (const id of ids) {
      if (!(Number.isInteger(id) && id >= 0 && id < vocab_size)) {
        throw new Error(`${name} must lie in [0, ${vocab_size}), got ${id}`);
      }
    }
  }

  return {
    loadModel, encode, startDecoding, decodeStep, translate,
    topWords, mostProbable, nextProbabilities, draw, seededRandom, checkSurgery,
    attention, maskedSoftmax, multiHeadAttention, splitHeads, mergeHeads,
    feedForward, before, addNorm, layerNorm, sinusoidalPosition, linear,
  };
})();

if (typeof module !== "undefined") module.exports = LiveModel;
