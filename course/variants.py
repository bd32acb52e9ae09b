"""Other versions of the tasks, so that last year's answers do not pass.

{set: {task: {cell: [(old, new), …]}}}, or a list of several such versions for a task, or one text
for a whole cell. A cell is named by its grade_id, by its id, or by how its text begins. Each
replacement must apply exactly once, whichever other tasks change as well.
tests/grading/test_variants.py checks this, and that the new solution passes the new tests while
that of any other version loses at least half of the points. `python -m tools.variants SEED` uses
them, and course/grading.md says when, and how to keep versions of your own to yourself.
"""

VARIANTS = {
    "ps1": {
        "masked_softmax": {
            "## 4": [
                (
                    "The sink is one more score, which is learned, and it takes its share of the weight like a column of its own. Afterwards its share is thrown away,",
                    "The sink is a positive number, which is learned. It is added to the sum of the exponentials by which each of them is divided,",
                ),
                ("Scores and sinks may be in the hundreds.", "Scores may be in the hundreds."),
            ],
            "masked_softmax": [
                ("column = sink[:, None, None]", "column = sink.log()[:, None, None]")
            ],
            "masked_softmax_seen": [
                ("torch.tensor([1.0])", "torch.tensor([math.e])"),
                (
                    "sink, powers = numbers(3, seed=3), ",
                    "sink, powers = numbers(3, seed=3).exp(), ",
                ),
                ("+ sink.exp()[:, None, None]", "+ sink[:, None, None]"),
            ],
            "masked_softmax_rows": [
                ("seed=3), numbers(2)\n", "seed=3), numbers(2).exp()\n"),
                ("+ sink.exp()[:, None, None]", "+ sink[:, None, None]"),
                (
                    "[[[[0.21194, 0.57612, 0.0]]], [[[0.0, 0.0, 0.0]]]]",
                    "[[[[0.26894, 0.73106, 0.0]]], [[[1 / 302, 1 / 302, 0.0]]]]",
                ),
                ('"large scores and sinks"', '"large scores, and a large sink"'),
            ],
            "masked_softmax_gradients": [
                (", numbers(2).requires_grad_()", ", numbers(2).exp().requires_grad_()"),
                ("+ sink.detach().exp()[:, None, None]", "+ sink.detach()[:, None, None]"),
                (
                    "* (1 - kept.sum(-1))  # by the sink",
                    "* (1 - kept.sum(-1)) / sink.detach()[:, None]  # by the sink",
                ),
            ],
        },
        "multi_query": {
            "## 3": [
                (
                    "where head h owns the columns h·d_k to (h + 1)·d_k",
                    "where the heads take turns: head h owns the columns h, h + heads, h + 2·heads and so on",
                )
            ],
            "multi_query": [
                (
                    "query.unflatten(-1, (num_heads, -1)).transpose(1, 2)",
                    "query.unflatten(-1, (-1, num_heads)).permute(0, 3, 1, 2)",
                ),
                ("found.transpose(1, 2).flatten(2)", "found.permute(0, 2, 3, 1).flatten(2)"),
            ],
            "multi_query_weights": [
                ("slice(head * d_k, (head + 1) * d_k)", "slice(head, None, heads)")
            ],
            "multi_query_numbers": [
                ("slice(head * d_k, (head + 1) * d_k)", "slice(head, None, heads)")
            ],
        },
        "packed_mask": {
            "## 2": [
                (
                    "A token may look at the tokens of its own document that are not later than itself.",
                    "A token may look at all tokens of its own document, the later ones included.",
                )
            ],
            "packed_mask": [
                ("(same & real & past)", "(same & real)"),
                (
                    "    past = torch.ones(documents.size(1), documents.size(1), dtype=torch.bool).tril()\n",
                    "",
                ),
            ],
            "packed_mask_seen": [
                (
                    "[[[[True, False, False], [True, True, False], [False, False, True]]]]",
                    "[[[[True, True, False], [True, True, False], [False, False, True]]]]",
                ),
                (
                    "[[[[True, False, False], [True, True, False], [False, False, False]]]]",
                    "[[[[True, True, False], [True, True, False], [False, False, False]]]]",
                ),
            ],
            "packed_mask_batch": [("t >= s and row[t]", "row[t]")],
        },
        "prefix_mask": {
            "## 1": [
                (
                    "and beyond it only what is not later than itself",
                    "and beyond it only itself and the position just before it: with a prefix of 2, position 5 sees 0, 1, 4 and 5",
                )
            ],
            "prefix_mask": [
                (
                    "past = place <= place[:, None]  # (length, length)",
                    "back = place[:, None] - place  # (length, length)\n    past = (back == 0) | (back == 1)",
                )
            ],
            "prefix_mask_batch": [("s < prefix or s <= t", "s < prefix or t - 1 <= s <= t")],
        },
        "attend_part": {
            "## 5": [
                (
                    "the **logarithm of the sum** of the exponentials of the scores",
                    "the **logarithm to base 2 of the sum** of the exponentials of the scores",
                )
            ],
            "attend_part": [("scores.logsumexp(dim=-1)", "scores.logsumexp(dim=-1) / math.log(2)")],
            "attend_part_logarithms": [("powers.sum(-1).log()", "powers.sum(-1).log2()")],
            "join": [
                ("torch.logaddexp(", "torch.logaddexp2("),
                ("(log_sum_1 - log_sum).exp()", "(log_sum_1 - log_sum).exp2()"),
            ],
            "join_two": [("total.log().float()", "total.log2().float()")],
            "join_more": [
                ("math.e / (1 + math.e)", "2 / 3"),
                ("200 + math.log(1 + math.e)", "200 + math.log2(3)"),
            ],
        },
        "diagnose": {
            "## 6": [
                (
                    "if the scores are divided by d_k instead of its root",
                    "if the scores are not divided by anything",
                ),
                (
                    "if it takes True to mean hidden",
                    "if the mask is applied after the softmax, so that the shares of what is hidden are lost",
                ),
            ],
            "diagnose": [
                (
                    "attend(query, key, torch.eye(5), mask)  # one value",
                    "attend(query, key, torch.eye(5), mask | True)  # one value",
                ),
                ('    if weights[:, 0].any():\n        return "mask"\n', ""),
                (
                    "    too_flat = (query @ key.T / 4).masked_fill(~mask, -math.inf).softmax(dim=-1)\n",
                    "    masked = attend(query, key, torch.eye(5), mask)\n"
                    "    if not torch.allclose(masked.sum(dim=-1), torch.ones(3)):\n"
                    '        return "mask"\n'
                    "    too_sharp = (query @ key.T).softmax(dim=-1)\n",
                ),
                ("torch.allclose(weights, too_flat)", "torch.allclose(weights, too_sharp)"),
            ],
            "diagnose_two": [
                ("axis=-1, inverted=False", "axis=-1, late=False"),
                (
                    "scores = scores.masked_fill(mask if inverted else ~mask, -math.inf)",
                    "scores = scores if late else scores.masked_fill(~mask, -math.inf)",
                ),
                (
                    "scores.softmax(axis).nan_to_num(0.0) @ value",
                    "(scores.softmax(axis).nan_to_num(0.0) * mask) @ value",
                ),
                (
                    'diagnose(suspect(inverted=True)), "mask", "an inverted mask"',
                    'diagnose(suspect(late=True)), "mask", "a mask that comes too late"',
                ),
            ],
            "diagnose_mask": [
                (
                    'diagnose(suspect(inverted=True)), "mask", "an inverted mask"',
                    'diagnose(suspect(late=True)), "mask", "a mask that comes too late"',
                ),
            ],
            "diagnose_scale": [
                (
                    'diagnose(suspect(power=1.0)), "d_k", "a division by d_k"',
                    'diagnose(suspect(power=0.0)), "d_k", "no division"',
                ),
            ],
            "diagnose_all": [
                (
                    'diagnose(suspect(inverted=True)), "mask", "an inverted mask"',
                    'diagnose(suspect(late=True)), "mask", "a mask that comes too late"',
                ),
                (
                    'diagnose(suspect(power=1.0)), "d_k", "a division by d_k"',
                    'diagnose(suspect(power=0.0)), "d_k", "no division"',
                ),
            ],
        },
    },
    "ps2": {
        "wide_parameters": {
            "## 1": [("biases included", "if no linear map has a bias")],
            "wide_parameters": [
                ("2 * (d_model * d_model + d_model)", "2 * d_model * d_model"),
                ("2 * (d_memory * d_model + d_model)", "2 * d_memory * d_model"),
            ],
            "wide_parameters_numbers": [
                ("(1, 1), 8,", "(1, 1), 4,"),
                ("4 * 4 * 2 + 10 * 4 * 2 + 4 * 4", "4 * 4 * 2 + 10 * 4 * 2"),
                ("1_312_768", "1_310_720"),
            ],
        },
        "wide_attention": {
            "## 2": [
                (
                    "broadcastable to (batch, heads, target, source) or None. ",
                    "broadcastable to (batch, heads, target, source) or None. As in some recent models, each head first divides every query and every key by its root mean square (over the head's own numbers, and exactly: no small number is added under the root), so that no score can become large. The values stay as they are. ",
                )
            ],
            "wide_attention": [
                (
                    "        found, _ = attention(query, key, value, mask)\n",
                    "        query, key = (part / part.square().mean(-1, keepdim=True).sqrt() for part in (query, key))\n"
                    "        found, _ = attention(query, key, value, mask)\n",
                )
            ],
            "wide_attention_numbers": [
                (
                    "        powers = (query[..., columns] @ key[..., columns].transpose(1, 2) / 2**0.5).exp() * kept\n",
                    "        pair = query[:, :, None, columns], key[:, None, :, columns]\n"
                    "        powers = (2**0.5 * torch.cosine_similarity(*pair, dim=-1)).exp() * kept\n",
                )
            ],
        },
        "look_at_both": {
            "## 3": [
                (
                    "(batch, 1, 1, source_i).",
                    "(batch, 1, 1, source_i). Return the output and, as (batch, target), the share of its weight that each target position gave to the first memory, averaged over the heads.",
                )
            ],
            "look_at_both": [
                (
                    "    return layer(y, torch.cat(memories, dim=1), torch.cat(masks, dim=-1))\n",
                    "    query = split_heads(layer.w_q(y), layer.num_heads)\n"
                    "    key, value = layer.keys_values(torch.cat(memories, dim=1))\n"
                    "    found, weights = attention(query, key, value, torch.cat(masks, dim=-1))\n"
                    "    share = weights[..., : memories[0].size(1)].sum(dim=-1).mean(dim=1)\n"
                    "    return layer.w_o(merge_heads(found)), share\n",
                )
            ],
            "look_at_both_shape": [
                (
                    "both = look_at_both(layer, y, memories, masks)\n",
                    "both, share = look_at_both(layer, y, memories, masks)\n"
                    'agree(tuple(share.shape), (2, 3), "the shape of the shares")\n',
                ),
                (
                    "swapped = look_at_both(layer, y, memories[::-1], masks[::-1])\n",
                    "swapped, rest = look_at_both(layer, y, memories[::-1], masks[::-1])\n"
                    'agree(share + rest, torch.ones(2, 3), "what both memories get together")\n',
                ),
            ],
            "look_at_both_numbers": [
                (
                    "got = look_at_both(layer, y, memories, (german, french))",
                    "got, share = look_at_both(layer, y, memories, (german, french))",
                ),
                (
                    'agree(got, wanted, "one softmax over both")\n',
                    'agree(got, wanted, "one softmax over both")\n'
                    "first = (powers[0].sum(-1, keepdim=True) / total)[..., 0].mean(1)\n"
                    'agree(share, first, "the share of the first memory")\n',
                ),
                (
                    "alone = look_at_both(layer, y, memories, (german & False, french))",
                    "alone, share = look_at_both(layer, y, memories, (german & False, french))\n"
                    'agree(share, torch.zeros(2, 3), "the share of a memory that is hidden")',
                ),
            ],
        },
        "gated_layer": {
            "## 4": [
                (
                    "So its output is multiplied by the tanh of a number, `gate`, which is learned and starts at 0.",
                    "So its output is multiplied, column by column, by the tanh of a vector `gate`, which is learned and starts at 0.",
                ),
                (
                    "The gate is an `nn.Parameter` with one number.",
                    "The gate is an `nn.Parameter` with d_model numbers, one for each column.",
                ),
            ],
            "gated_layer": [("torch.zeros(1)", "torch.zeros(d_model)")],
            "gated_layer_closed": [
                (
                    "layer.gate.detach().abs().sum().item(), 0.0, ",
                    "layer.gate.detach(), torch.zeros(8), ",
                )
            ],
            "gated_layer_open": [
                ('"gate": torch.tensor([0.7])', '"gate": torch.linspace(-0.7, 0.7, 8)'),
                ("0.6043678 * look", "torch.linspace(-0.7, 0.7, 8).tanh() * look"),
            ],
            "gated_layer_gradient": [
                ("layer.gate.numel(), 1, ", "layer.gate.numel(), 8, "),
                ('"gate": torch.tensor([gate])', '"gate": torch.full((8,), gate)'),
            ],
            "gated_layer_future": [
                ('"gate": torch.tensor([-1.0])', '"gate": torch.full((8,), -1.0)'),
            ],
        },
        "where_from": {
            "## 5": [
                (
                    "The queries come from y. The keys come from y or from the memory, and so do the values, independently of each other.",
                    "The keys come from the memory. The queries come from y or from the memory, and so do the values, independently of each other.",
                ),
                ("keys first.", "queries first."),
            ],
            "where_from": [
                (
                    "attend(y, memory)[1], attend(y, other_memory)[1]",
                    "attend(y, memory)[1], attend(other_y, memory)[1]",
                ),
                (
                    'keys = "y" if torch.allclose(weights, moved) else "memory"',
                    'queries = "memory" if torch.allclose(weights, moved) else "y"',
                ),
                (
                    "y, other_y, memory, other_memory = torch.randn(4, 1, 5, 16)",
                    "y, other_y, memory = torch.randn(3, 1, 5, 16)",
                ),
                ("    return keys, ", "    return queries, "),
            ],
            "where_from_right": [
                ("def suspect(keys, values, seed=0)", "def suspect(queries, values, seed=0)"),
                (
                    "(y, origin[keys], origin[values])",
                    "(origin[queries], memory, origin[values])",
                ),
                (
                    'suspect("memory", "memory")), ("memory", "memory"), "cross-attention"',
                    'suspect("y", "memory")), ("y", "memory"), "cross-attention"',
                ),
                (
                    'suspect("y", "y", seed=9)), ("y", "y"), "self-attention"',
                    'suspect("memory", "y", seed=9)), ("memory", "y"), "queries from the memory"',
                ),
            ],
            "where_from_keys": [('f"keys from {keys}"', 'f"queries from {keys}"')],
            "where_from_all": [
                ('f"keys and values from {pair}"', 'f"queries and values from {pair}"')
            ],
        },
        "shared_cross": {
            "## 6": [("that the **first** layer makes", "that the **last** layer makes")],
            "shared_cross": [("layers[0].keys_values", "layers[-1].keys_values")],
            "shared_cross_numbers": [
                (
                    "memory @ layers[0].w_k.weight.T + layers[0].w_k.bias",
                    "memory @ layers[-1].w_k.weight.T + layers[-1].w_k.bias",
                ),
                (
                    "memory @ layers[0].w_v.weight.T + layers[0].w_v.bias",
                    "memory @ layers[-1].w_v.weight.T + layers[-1].w_v.bias",
                ),
            ],
            "shared_cross_once": [
                (
                    '[reads.count(layers[0].w_k), reads.count(layers[0].w_v)], [1, 1], "those of the first layer"',
                    '[reads.count(layers[-1].w_k), reads.count(layers[-1].w_v)], [1, 1], "those of the last layer"',
                )
            ],
        },
        "wire": {
            "## 7": [
                (
                    "is the number of the encoder layer, counted from 0, whose output",
                    "says whose output, counted from the last encoder layer backwards (0 is the last, 1 the one before it),",
                )
            ],
            "wire": [
                (
                    "    memories = {}\n",
                    "    memories, top = {}, len(encoder_layers) - 1\n    reads = [top - back for back in reads]\n",
                )
            ],
            "wire_seen": [("[1, 0, 1]", "[0, 1, 0]")],
            "wire_memory": [
                (
                    "wire(*stacks, norm, reads, 0.0",
                    "wire(*stacks, norm, [higher - 1 - r for r in reads], 0.0",
                )
            ],
        },
    },
    "ps3": {
        "sentence_losses": {
            "## 1": [
                ("in nats **per real token**", "in bits (logarithms to base 2) **per real token**")
            ],
            "sentence_losses": [("/ real.sum(dim=-1)", "/ real.sum(dim=-1) / math.log(2)")],
            "sentence_losses_seen": [
                ("math.log(8)", "3.0"),
                ("(math.log(2) + math.log(4)) / 2", "1.5"),
            ],
            "sentence_losses_padding": [
                (".log() / 4", ".log2() / 4"),
                (".log() / 2", ".log2() / 2"),
            ],
            "sentence_losses_gradient": [
                ("chosen[0]) / 4,", "chosen[0]) / 4 / math.log(2),"),
                ("chosen[1, :2]) / 2,", "chosen[1, :2]) / 2 / math.log(2),"),
            ],
        },
        "go_on": {
            "## 2": [
                (
                    "Do not worry about speed here.",
                    "Return a second value as well, (batch,): the sum of the log-probabilities of the tokens that the model has chosen, EOS included. The prefix and the PAD after the end are not among them. Do not worry about speed here.",
                )
            ],
            "go_on": [
                (
                    "    while ids.size(1) <= length:\n",
                    "    total = torch.zeros(len(ids))\n    while ids.size(1) <= length:\n",
                ),
                (
                    "        word = model.output(states[:, -1]).argmax(dim=-1).masked_fill(ended, PAD)\n",
                    "        best, word = model.output(states[:, -1]).log_softmax(dim=-1).max(dim=-1)\n"
                    "        total += best.masked_fill(ended, 0.0)\n"
                    "        word = word.masked_fill(ended, PAD)\n",
                ),
                ("    return ids[:, 1:]\n", "    return ids[:, 1:], total\n"),
            ],
            "go_on_shape": [
                (
                    "ids = go_on(model, source_ids, prefix, 5)\n",
                    "ids, total = go_on(model, source_ids, prefix, 5)\n"
                    'agree(tuple(total.shape), (2,), "the shape of the sums")\n',
                ),
                ("ids = go_on(small_model(3)", "ids, total = go_on(small_model(3)"),
            ],
            "go_on_words": [
                ("    rows = []\n", "    rows, sums = [], []\n"),
                ("        row = [BOS, *begun]\n", "        row, shares = [BOS, *begun], []\n"),
                (
                    "            row.append(model(source[None], torch.tensor([row]))[0, -1].argmax().item())\n",
                    "            shares.append(model(source[None], torch.tensor([row]))[0, -1].softmax(-1))\n"
                    "            row.append(shares[-1].argmax().item())\n",
                ),
                (
                    "        rows.append(row[1:])\n    return torch.tensor(rows)\n",
                    "        rows.append(row[1:])\n"
                    "        written = row[len(begun) + 1 :]\n"
                    "        last = written.index(EOS) + 1 if EOS in written else len(written)\n"
                    "        sums.append(sum(math.log(one.max().item()) for one in shares[:last]))\n"
                    "    return torch.tensor(rows), torch.tensor(sums)\n",
                ),
                (
                    "        wanted = one_by_one(model, source_ids, prefix, 6)\n        agree((wanted == EOS)",
                    "        wanted, sums = one_by_one(model, source_ids, prefix, 6)\n        agree((wanted == EOS)",
                ),
                (
                    'agree(go_on(model, source_ids, prefix, 6), wanted, f"model {seed}")\n',
                    "got, total = go_on(model, source_ids, prefix, 6)\n"
                    '        agree(got, wanted, f"model {seed}")\n'
                    '        agree(total, sums, f"model {seed}: the log-probabilities", 1e-3)\n',
                ),
            ],
            "go_on_end": [
                (
                    "        wanted = one_by_one(model, source_ids, prefix, 6)\n        for row",
                    "        wanted, sums = one_by_one(model, source_ids, prefix, 6)\n        for row",
                ),
                (
                    'agree(go_on(model, source_ids, prefix, 6), wanted.masked_fill(after, PAD), "after the end")\n',
                    "got, total = go_on(model, source_ids, prefix, 6)\n"
                    '        agree(got, wanted.masked_fill(after, PAD), "after the end")\n'
                    '        agree(total, sums, "the log-probabilities up to the end", 1e-3)\n',
                ),
            ],
        },
        "token_by_token": {
            "## 3": [
                ("## 3 · One token a step", "## 3 · Two tokens a step"),
                (
                    "**one token at a time**",
                    "**two tokens at a time** (the last one alone, if their number is odd)",
                ),
                (
                    "return the logits of all positions, (batch, target, vocab_size). They must equal those of one pass over the whole.",
                    "return the log-probabilities of all positions, (batch, target, vocab_size). They must equal those that one pass over the whole gives.",
                ),
            ],
            "token_by_token": [
                ("target_ids.split(1, dim=1)", "target_ids.split(2, dim=1)"),
                (
                    "model.output(torch.cat(steps, dim=1))",
                    "model.output(torch.cat(steps, dim=1)).log_softmax(dim=-1)",
                ),
            ],
            "token_by_token_equal": [
                (
                    "model(source_ids[:1], whole), ",
                    "model(source_ids[:1], whole).softmax(-1).log(), ",
                ),
                ("model(source_ids, both), ", "model(source_ids, both).softmax(-1).log(), "),
            ],
            "token_by_token_once": [("[1] * 6", "[2, 2, 1, 1]")],
        },
        "needed": {
            "## 4": [
                (
                    "without which the label `target_ids[0, t + 1]` loses most of its log-probability",
                    "without which the label `target_ids[0, t + 1]` keeps most of its log-probability: the one that is needed least",
                )
            ],
            "needed": [
                (
                    "the least is left without the most needed",
                    "the most is left without the least needed",
                ),
                ("min(left, key=left.get)", "max(left, key=left.get)"),
            ],
            "needed_places": [("lost.argmin()", "lost.argmax()")],
        },
        "hearing": {
            "## 5": [
                (
                    "A boolean tensor (target, source) for a single sentence. Padding holds no word that could be replaced: its columns are False.",
                    "A boolean tensor (source, target) for a single sentence. Padding holds no word that could be replaced: its rows are False.",
                )
            ],
            "hearing": [("    return heard\n", "    return heard.T\n")],
            "hearing_right": [("torch.ones(5, 3,", "torch.ones(3, 5,")],
            "hearing_padding": [
                (
                    "torch.tensor([[s < 4 for s in range(6)]] * 4)",
                    "torch.tensor([[s < 4] * 4 for s in range(6)])",
                ),
                ("torch.ones(3, 4, dtype", "torch.ones(4, 3, dtype"),
            ],
        },
        "diagnose": {
            "## 6": [
                (
                    "if the target's words all stand at position 0",
                    "if the source's words all stand at position 0",
                ),
                (
                    "if cross-attention sees the first source word only",
                    "if cross-attention sees the last position of the source only",
                ),
            ],
            "diagnose": [
                ("(weights[..., 1:] == 0).all()", "(weights[..., :-1] == 0).all()"),
                (
                    "    # The same word again and again: without positions every place says the same.\n"
                    "    again = run(source, torch.full((1, 4), 13))[0][0]\n"
                    "    if torch.allclose(again, again[:1].expand_as(again), atol=1e-5):\n",
                    "    # The source backwards: without positions it is the same bag of words.\n"
                    "    backwards, _ = run(source.flip(1), target)\n"
                    "    if torch.allclose(backwards, before, atol=1e-5):\n",
                ),
            ],
            "suspects": [
                (
                    "source_mask & (torch.arange(memory.size(1)) == 0)",
                    "source_mask & (torch.arange(memory.size(1)) == memory.size(1) - 1)",
                )
            ],
            "diagnose_order": [
                (
                    "table = model.target_embedding.positions",
                    "table = model.source_embedding.positions",
                ),
                (
                    "model.target_embedding.positions = table",
                    "model.source_embedding.positions = table",
                ),
            ],
        },
    },
    "capstone": {
        "held_out": {"in_words": [("random.Random(2017)", "random.Random(SEED)")]},
        "make_batch": {
            "# Capstone": [
                (
                    "and writes the digits, train it",
                    "and writes the digits from the last to the first, train it",
                )
            ],
            "## 1": [
                (
                    "the target in digits, between BOS and EOS",
                    "the target in digits **from the last to the first** (45 becomes 5 4), between BOS and EOS",
                )
            ],
            "make_batch": [("list(str(n))", "list(str(n))[::-1]")],
            "make_batch_seen": [
                ('["4", "5"], "the digits of 45"', '["5", "4"], "the digits of 45"')
            ],
            "make_batch_digits": [("for digit in digits]", "for digit in digits[::-1]]")],
            "train_reader_learns": [
                ('"".join(tokenizer.decode(row))', '"".join(tokenizer.decode(row))[::-1]')
            ],
            "train_reader_well": [
                (
                    '"".join(tokenizer.decode(row)) for row',
                    '"".join(tokenizer.decode(row))[::-1] for row',
                )
            ],
            "## 5": [
                (
                    "No batch, no cache.",
                    "The model writes the last digit first. No batch, no cache.",
                )
            ],
            "hear": [('int("".join(digits))', 'int("".join(digits[::-1]))')],
            "hear_steps": [
                ("Writes 4 0 7 whatever", "Writes 7 0 4 whatever"),
                ('["4", "0", "7", "<eos>"]', '["7", "0", "4", "<eos>"]'),
                ('["9", "0", "<eos>"]', '["0", "9", "<eos>"]'),
            ],
            "## 6": [
                (
                    "the query that *writes* digit t (it has read BOS and the digits before)",
                    "the query that *writes* the digit t places before the last one (it has read BOS and the digits behind that one)",
                )
            ],
            "look_numbers": [
                (
                    'tokenizer.ids["4"], tokenizer.ids["5"], EOS',
                    'tokenizer.ids["5"], tokenizer.ids["4"], EOS',
                )
            ],
            "code-35": [('[*str(number), "<eos>"]', '[*str(number)[::-1], "<eos>"]')],
        },
        "number_reader": {
            "## 2": [
                (
                    "Sizes: 64 wide,",
                    "The encoder reads as an interpreter listens, from left to right: no word of the source hears a later one. (The decoder may look at all of them.) Sizes: 64 wide,",
                )
            ],
            "number_reader": [
                (
                    "        x = self.source_embedding(source_ids)\n",
                    "        past = source_mask & causal_mask(source_ids.size(1))\n"
                    "        x = self.source_embedding(source_ids)\n",
                ),
                ("x = layer(x, source_mask)", "x = layer(x, past)"),
            ],
            "number_reader_future": [
                (
                    '    differ(model(source, changed)[:, 3], logits[:, 3], "the last digit")\n',
                    '    differ(model(source, changed)[:, 3], logits[:, 3], "the last digit")\n'
                    "    states, other = model.encode(source)[0], model.encode(source + 1)[0]\n"
                    '    differ(other, states, "other words")\n'
                    "    other = model.encode(torch.tensor([[4, 5, 6, 8, EOS]]))[0]\n"
                    '    agree(other[:, :3], states[:, :3], "a later word of the source must not be heard")\n',
                )
            ],
            "number_reader_padding": [
                (
                    '        differ(model(other, target)[:, 0], logits[:, 0], f"source word {place}, at the first digit")\n',
                    '        differ(model(other, target)[:, 0], logits[:, 0], f"source word {place}, at the first digit")\n'
                    "        after, before = model.encode(other)[0], model.encode(source)[0]\n"
                    '        agree(after[:, :place], before[:, :place], f"source word {place}, by earlier ones")\n'
                    '        differ(after[:, 4], before[:, 4], f"source word {place}, by the last one")\n',
                )
            ],
            "number_reader_encoder": [
                (
                    "    model = NumberReader(higher, lower).eval()\n",
                    "    model = NumberReader(higher, lower).eval()\n"
                    "    with torch.no_grad():\n"
                    "        states, other = (model.encode(ids)[0] for ids in (source, source.flip(1)))\n"
                    "        again = model.encode(torch.cat([source[:, :2], source[:, 2:].flip(1)], 1))[0]\n"
                    '    differ(other[:, :2], states[:, :2], "other words")\n'
                    '    agree(again[:, :2], states[:, :2], "later words of the source must not be heard")\n',
                )
            ],
        },
        "batch_loss": {
            "## 3": [
                (
                    "The mean cross-entropy over **real** labels of a batch, as one number",
                    "For each number of a batch, the **sum** of the cross-entropies of its **real** labels, and of these sums the mean, as one number",
                )
            ],
            "batch_loss": [
                (
                    "F.cross_entropy(logits[real], batch.target_labels[real])",
                    'F.cross_entropy(logits[real], batch.target_labels[real], reduction="sum") / len(logits)',
                )
            ],
            "batch_loss_even": [
                ('3.7842, "log 44")', '11.3526, "three times log 44")'),
                ('3.7842, "log 44, for another number")', '7.5684, "twice log 44")'),
            ],
            "batch_loss_padding": [
                (
                    "slope.exp().sum().log() - slope[labels].mean(), ",
                    "2.5 * slope.exp().sum().log() - slope[labels].sum() / 2, ",
                ),
                ('"five real labels, counted alike"', '"five real labels in two numbers"'),
            ],
        },
        "train_reader": {
            "## 4": [
                (
                    "and returns it. It should",
                    "and returns it together with a list of its losses, one `float` for each training step. It should",
                )
            ],
            "train_reader": [
                ("    for step in range(", "    losses = []\n    for step in range("),
                (
                    "        optimizer.zero_grad()\n",
                    "        losses.append(loss.item())\n        optimizer.zero_grad()\n",
                ),
                ("    return model.eval()\n", "    return model.eval(), losses\n"),
            ],
            "code-22": [("reader = train_reader(seed=0)", "reader, losses = train_reader(seed=0)")],
            "train_reader_learns": [
                ("trained = train_reader(", "trained, _ = train_reader("),
                (
                    "### BEGIN HIDDEN TESTS\nasked = ",
                    "### BEGIN HIDDEN TESTS\n"
                    'agree(type(losses[0]), float, "the kind of the losses")\n'
                    'agree(min(losses) < losses[0] / 2, True, "the losses fall")\n'
                    "asked = ",
                ),
            ],
            "ablation": [
                ("model = train_reader(seed, kind)", "model, _ = train_reader(seed, kind)")
            ],
        },
        "hear": {
            "## 5": [
                (
                    "a list of German number words → the number, a plain `int`, written greedily, at most eight digits. If the model writes no digit at all, return -1.",
                    "a list of German number words → a pair. First comes the number, a plain `int`, written greedily, at most eight digits (-1 if the model writes no digit at all). Then comes the smallest of the probabilities of what it wrote, EOS included, a plain `float`: how sure it was where it was least sure.",
                )
            ],
            "hear": [
                ("    ids = [BOS]\n", "    ids, sure = [BOS], 1.0\n"),
                (
                    "        ids.append(model.decode(torch.tensor([ids]), memory, source_mask)[0, -1].argmax().item())\n",
                    "        logits = model.decode(torch.tensor([ids]), memory, source_mask)[0, -1]\n"
                    "        ids.append(logits.argmax().item())\n"
                    "        sure = min(sure, logits.softmax(dim=-1).max().item())\n",
                ),
                ("if digits else -1", "if digits else -1, sure"),
            ],
            "hear_steps": [
                (
                    'agree(hear(parrot, ["vier", "hundert", "sieben"]), 407, "what the parrot says")\n',
                    'heard, sure = hear(parrot, ["vier", "hundert", "sieben"])\n'
                    'agree(heard, 407, "what the parrot says")\n'
                    'agree(sure, 0.05946, "how sure it is")\n',
                ),
                (
                    'agree(hear(parrot, ["neunzig"]), 90, "another parrot")',
                    'agree(hear(parrot, ["neunzig"])[0], 90, "another parrot")',
                ),
            ],
            "hear_ends": [
                ('agree(hear(parrot, ["fünf"]), 5,', 'agree(hear(parrot, ["fünf"])[0], 5,'),
                (
                    'agree(hear(parrot, ["ein"]), 11_111_111,',
                    'agree(hear(parrot, ["ein"])[0], 11_111_111,',
                ),
            ],
            "hear_nothing": [
                ('agree(hear(parrot, ["ein"]), -1,', 'agree(hear(parrot, ["ein"])[0], -1,'),
            ],
            "ablation": [
                (
                    "        heard = hear(model, in_words(number))\n",
                    "        heard, _ = hear(model, in_words(number))\n",
                )
            ],
        },
        "look": {
            "## 6": [
                (
                    "the map of the **last** decoder layer's cross-attention while the model writes this number, averaged over heads, as (digits + 1, words + 1).",
                    "the maps of the **last** decoder layer's cross-attention while the model writes this number, one for each head, as (heads, digits + 1, words + 1).",
                ),
                ("Row t is", "Row t of each map is"),
            ],
            "look": [("[0].mean(dim=0)\n", "[0]\n")],
            "look_shape": [
                ("(tuple(weights.shape), (4, 6), ", "(tuple(weights.shape), (4, 4, 6), "),
                ("torch.ones(4), ", "torch.ones(4, 4), "),
                ("(tuple(weights.shape), (3, 2), ", "(tuple(weights.shape), (4, 3, 2), "),
                ("torch.ones(3), ", "torch.ones(4, 3), "),
            ],
            "look_numbers": [
                ("wanted = sum(maps) / 4", "wanted = torch.stack(maps)"),
                (
                    "differ(wanted[:, 1:], wanted[:, :-1], ",
                    "differ(wanted[..., 1:], wanted[..., :-1], ",
                ),
                ("differ(wanted[1:], wanted[:-1], ", "differ(wanted[:, 1:], wanted[:, :-1], "),
            ],
            "code-35": [
                ("        look(reader, number),\n", "        look(reader, number).mean(dim=0),\n")
            ],
        },
    },
}


# A third version of most tasks. With it, a task is never as published, and still another one than
# in the year before.
THIRD = {
    "ps1": {
        "prefix_mask": {
            "## 1": [
                (
                    "It writes what follows as a decoder does. So every position sees the whole prefix, and beyond it only what is not later than itself.",
                    "It writes what follows as a decoder does, but from the end of the row to its beginning. So every position sees the whole prefix, and beyond it only what is not earlier than itself.",
                )
            ],
            "prefix_mask": [
                (
                    "past = place <= place[:, None]  # (length, length)",
                    "past = place >= place[:, None]  # (length, length): what has been written",
                )
            ],
            "prefix_mask_seen": [
                (
                    "[[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]",
                    "[[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 1]]",
                )
            ],
            "prefix_mask_batch": [("s < prefix or s <= t", "s < prefix or s >= t")],
        },
        "packed_mask": {
            "## 2": [
                (
                    "A token may look at the tokens of its own document that are not later than itself.",
                    "A token may look at itself and at the tokens of its own document that are right beside it, before and after.",
                )
            ],
            "packed_mask": [
                ("(same & real & past)", "(same & real & near)"),
                (
                    "    past = torch.ones(documents.size(1), documents.size(1), dtype=torch.bool).tril()\n",
                    "    place = torch.arange(documents.size(1))\n"
                    "    near = (place - place[:, None]).abs() <= 1\n",
                ),
            ],
            "packed_mask_seen": [
                (
                    "[[[[True, False, False], [True, True, False], [False, False, True]]]]",
                    "[[[[True, True, False], [True, True, False], [False, False, True]]]]",
                ),
                (
                    "[[[[True, False, False], [True, True, False], [False, False, False]]]]",
                    "[[[[True, True, False], [True, True, False], [False, False, False]]]]",
                ),
            ],
            "packed_mask_batch": [("t >= s and row[t]", "abs(t - s) <= 1 and row[t]")],
        },
        "multi_query": {
            "## 3": [
                (
                    "Return the merged output",
                    "So that the heads don't all look alike, head h divides its scores by 2 to the power of h, after the division by the root of d_k: head 0 looks sharpest. Return the merged output",
                )
            ],
            "multi_query": [
                (
                    " / math.sqrt(key.size(-1))\n",
                    " / math.sqrt(key.size(-1))\n"
                    "    scores = scores / 2 ** torch.arange(num_heads)[:, None, None]\n",
                )
            ],
            "multi_query_weights": [("/ d_k**0.5).exp()", "/ d_k**0.5 / 2**head).exp()")],
            "multi_query_numbers": [("/ d_k**0.5).exp()", "/ d_k**0.5 / 2**head).exp()")],
        },
        "masked_softmax": {
            "## 4": [
                (
                    "Afterwards its share is thrown away, so a row sums to less than 1,",
                    "Afterwards its share is taken out and returned by itself, so a row sums to less than 1,",
                ),
                (
                    "→ the weights, shaped like `scores`.",
                    "→ the weights, shaped like `scores`, and the sinks' shares, (batch, heads, target).",
                ),
            ],
            "masked_softmax": [
                (
                    "    return torch.cat([scores, column], dim=-1).softmax(dim=-1)[..., :-1]\n",
                    "    shares = torch.cat([scores, column], dim=-1).softmax(dim=-1)\n"
                    "    return shares[..., :-1], shares[..., -1]\n",
                )
            ],
            "masked_softmax_seen": [
                (
                    "weights = sink_softmax(scores, mask, sink)\n",
                    "weights, share = sink_softmax(scores, mask, sink)\n"
                    'agree(share, torch.tensor([[[0.21194, 1 / 3]]]), "the shares of the sink")\n',
                ),
                (
                    "agree(sink_softmax(scores, mask, sink), ",
                    "agree(sink_softmax(scores, mask, sink)[0], ",
                ),
            ],
            "masked_softmax_rows": [
                (
                    "weights = sink_softmax(scores, mask, sink)\n",
                    "weights, share = sink_softmax(scores, mask, sink)\n"
                    'agree(share[0, :, 1], torch.ones(2), "the share of the sink in that row")\n',
                ),
                ("torch.tensor([300.0])), wanted", "torch.tensor([300.0]))[0], wanted"),
            ],
            "masked_softmax_gradients": [
                (
                    "(sink_softmax(scores, mask, sink) * factors)",
                    "(sink_softmax(scores, mask, sink)[0] * factors)",
                )
            ],
        },
        "attend_part": {
            "## 5": [
                (
                    "the **logarithm of the sum** of the exponentials of the scores",
                    "the **negative logarithm of the sum** of the exponentials of the scores",
                )
            ],
            "attend_part": [("scores.logsumexp(dim=-1)", "-scores.logsumexp(dim=-1)")],
            "attend_part_logarithms": [("powers.sum(-1).log()", "-powers.sum(-1).log()")],
            "join": [
                (
                    "torch.logaddexp(log_sum_1, log_sum_2)",
                    "-torch.logaddexp(-log_sum_1, -log_sum_2)",
                ),
                ("(log_sum_1 - log_sum).exp()", "(log_sum - log_sum_1).exp()"),
            ],
            "join_two": [("total.log().float()", "-total.log().float()")],
            "join_more": [
                ("200.0 + i)", "-200.0 - i)"),
                ("200 + math.log(1 + math.e)", "-200 - math.log(1 + math.e)"),
            ],
        },
        "diagnose": {
            "## 6": [
                (
                    "if the scores are divided by d_k instead of its root",
                    "if the scores are multiplied by the root of d_k instead of divided by it",
                ),
                ("if it takes True to mean hidden", "if it doesn't care about the mask at all"),
            ],
            "diagnose": [
                ("too_flat = (query @ key.T / 4)", "too_sharp = (query @ key.T * 2)"),
                ("torch.allclose(weights, too_flat)", "torch.allclose(weights, too_sharp)"),
            ],
            "diagnose_two": [
                ("axis=-1, inverted=False", "axis=-1, ignored=False"),
                (
                    "scores = scores.masked_fill(mask if inverted else ~mask, -math.inf)",
                    "scores = scores if ignored else scores.masked_fill(~mask, -math.inf)",
                ),
                (
                    'suspect(inverted=True)), "mask", "an inverted mask"',
                    'suspect(ignored=True)), "mask", "a mask that is ignored"',
                ),
            ],
            "diagnose_mask": [
                (
                    'suspect(inverted=True)), "mask", "an inverted mask"',
                    'suspect(ignored=True)), "mask", "a mask that is ignored"',
                )
            ],
            "diagnose_scale": [
                (
                    'suspect(power=1.0)), "d_k", "a division by d_k"',
                    'suspect(power=-0.5)), "d_k", "a multiplication"',
                )
            ],
            "diagnose_all": [
                (
                    'suspect(inverted=True)), "mask", "an inverted mask"',
                    'suspect(ignored=True)), "mask", "a mask that is ignored"',
                ),
                (
                    'suspect(power=1.0)), "d_k", "a division by d_k"',
                    'suspect(power=-0.5)), "d_k", "a multiplication"',
                ),
            ],
        },
    },
    "ps2": {
        "wide_parameters": {
            "## 1": [
                (
                    "biases included",
                    "if the maps for keys and values have a bias, and the other two have none",
                )
            ],
            "wide_parameters": [("2 * (d_model * d_model + d_model)", "2 * d_model * d_model")],
            "wide_parameters_numbers": [
                ("(1, 1), 8,", "(1, 1), 6,"),
                ("4 * 4 * 2 + 10 * 4 * 2 + 4 * 4", "4 * 4 * 2 + 10 * 4 * 2 + 4 * 2"),
                ("1_312_768", "1_311_744"),
            ],
        },
        "wide_attention": {
            "## 2": [
                (
                    "broadcastable to (batch, heads, target, source) or None. ",
                    "broadcastable to (batch, heads, target, source) or None. As in Gemma 2, no score may become large: before the mask and softmax, each score s, divided by the root of d_k as usual, becomes 2 · tanh(s / 2). A row that may attend to nothing finds zeros. ",
                )
            ],
            "wide_attention": [
                (
                    "        found, _ = attention(query, key, value, mask)\n",
                    "        scores = 2 * (query @ key.transpose(-2, -1) / query.size(-1) ** 0.5 / 2).tanh()\n"
                    "        scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)\n"
                    "        found = scores.softmax(dim=-1).nan_to_num(0.0) @ value\n",
                )
            ],
            "wide_attention_numbers": [
                (
                    "(query[..., columns] @ key[..., columns].transpose(1, 2) / 2**0.5).exp()",
                    "(2 * (query[..., columns] @ key[..., columns].transpose(1, 2) / 2**1.5).tanh()).exp()",
                )
            ],
        },
        "look_at_both": {
            "## 3": [
                (
                    "(batch, 1, 1, source_i).",
                    "(batch, 1, 1, source_i). Return the output, and a pair with the weights of both memories, (batch, heads, target, source_i).",
                )
            ],
            "look_at_both": [
                (
                    "    return layer(y, torch.cat(memories, dim=1), torch.cat(masks, dim=-1))\n",
                    "    query = split_heads(layer.w_q(y), layer.num_heads)\n"
                    "    key, value = layer.keys_values(torch.cat(memories, dim=1))\n"
                    "    found, weights = attention(query, key, value, torch.cat(masks, dim=-1))\n"
                    "    maps = weights.split([memory.size(1) for memory in memories], dim=-1)\n"
                    "    return layer.w_o(merge_heads(found)), maps\n",
                )
            ],
            "look_at_both_shape": [
                (
                    "both = look_at_both(layer, y, memories, masks)\n",
                    "both, maps = look_at_both(layer, y, memories, masks)\n"
                    'agree(tuple(maps[0].shape), (2, 2, 3, 4), "the shape of the first memory\'s weights")\n',
                ),
                (
                    "swapped = look_at_both(layer, y, memories[::-1], masks[::-1])\n",
                    "swapped, turned = look_at_both(layer, y, memories[::-1], masks[::-1])\n"
                    'agree(turned[1], maps[0], "the weights, with the memories in the other order")\n',
                ),
            ],
            "look_at_both_numbers": [
                (
                    "got = look_at_both(layer, y, memories, (german, french))",
                    "got, maps = look_at_both(layer, y, memories, (german, french))",
                ),
                (
                    'agree(got, wanted, "one softmax over both")\n',
                    'agree(got, wanted, "one softmax over both")\n'
                    "for found, power in zip(maps, powers):\n"
                    '    agree(found, power / total, "the weights of one memory")\n',
                ),
                (
                    "alone = look_at_both(layer, y, memories, (german & False, french))",
                    "alone, maps = look_at_both(layer, y, memories, (german & False, french))\n"
                    'agree(maps[0], torch.zeros(2, 2, 3, 4), "the weights of a memory that is hidden")',
                ),
            ],
        },
        "gated_layer": {
            "## 4": [
                (
                    "So its output is multiplied by the tanh of a number, `gate`, which is learned and starts at 0.",
                    "So its output is multiplied by the tanh of the first of two numbers, `gate`, which are learned and start at 0. And so that the picture can take over from the text, the output of the first cross-attention is multiplied by 1 minus the tanh of the second number.",
                ),
                (
                    "The gate is an `nn.Parameter` with one number.",
                    "The gate is an `nn.Parameter` with these two numbers.",
                ),
            ],
            "gated_layer": [
                ("torch.zeros(1)", "torch.zeros(2)"),
                (
                    "        y = y + self.text_attention(self.norm_text(y), text, text_mask)\n",
                    "        open_, closed = self.gate.tanh()\n"
                    "        read = self.text_attention(self.norm_text(y), text, text_mask)\n"
                    "        y = y + (1 - closed) * read\n",
                ),
                ("self.gate.tanh() * seen", "open_ * seen"),
            ],
            "gated_layer_open": [
                ('"gate": torch.tensor([0.7])', '"gate": torch.tensor([0.7, 0.3])'),
                (
                    'wanted = wanted + parts["text_attention"]',
                    'wanted = wanted + 0.7086874 * parts["text_attention"]',
                ),
            ],
            "gated_layer_gradient": [
                ("layer.gate.numel(), 1, ", "layer.gate.numel(), 2, "),
                ("layer.gate.grad.sum().item()", "layer.gate.grad[0].item()"),
                ('"gate": torch.tensor([gate])', '"gate": torch.tensor([gate, 0.0])'),
            ],
            "gated_layer_future": [
                ('"gate": torch.tensor([-1.0])', '"gate": torch.tensor([-1.0, 0.5])')
            ],
        },
        "where_from": {
            "## 5": [
                (
                    "The queries come from y. The keys come from y or from the memory, and so do the values, independently of each other.",
                    "The values come from the memory. The queries come from y or from the memory, and so do the keys, independently of each other.",
                ),
                ('`("memory", "y")`, keys first.', '`("memory", "y")`, queries first.'),
                (
                    "There is a memory that makes both answers obvious.",
                    "Think of a y, or of a memory, whose words are all alike.",
                ),
            ],
            "where_from": """\
def where_from(attend):
    ### BEGIN SOLUTION
    y, memory = torch.randn(2, 1, 5, 16)
    same_y, same_memory = (x[:, :1].expand(1, 5, 16) for x in (y, memory))
    # If the keys come from words that are all alike, every row is even, whoever asks.
    weights = attend(y, same_memory)[1]
    if torch.allclose(weights, torch.full_like(weights, 0.2), atol=1e-5):
        keys, weights = "memory", attend(same_y, memory)[1]
        alike, different = "y", "memory"
    else:
        keys, alike, different = "y", "memory", "y"
    # If the queries come from words that are all alike, all rows are the same.
    same_rows = torch.allclose(weights, weights[..., :1, :].expand_as(weights), atol=1e-5)
    return alike if same_rows else different, keys
    ### END SOLUTION""",
            "where_from_right": [
                ("def suspect(keys, values, seed=0)", "def suspect(queries, keys, seed=0)"),
                ("(y, origin[keys], origin[values])", "(origin[queries], origin[keys], memory)"),
                (
                    'suspect("memory", "memory")), ("memory", "memory"), "cross-attention"',
                    'suspect("y", "memory")), ("y", "memory"), "cross-attention"',
                ),
                (
                    'suspect("y", "y", seed=9)), ("y", "y"), "self-attention"',
                    'suspect("memory", "y", seed=9)), ("memory", "y"), "queries from the memory"',
                ),
            ],
            "where_from_keys": [('f"keys from {keys}"', 'f"queries from {keys}"')],
            "where_from_values": [('f"values from {values}"', 'f"keys from {values}"')],
            "where_from_all": [
                ('f"keys and values from {pair}"', 'f"queries and keys from {pair}"')
            ],
        },
        "shared_cross": {
            "## 6": [
                (
                    "share the keys and values that the **first** layer makes from the encoder's output.",
                    "share the keys that the **first** layer makes from the encoder's output, and the values that the **last** layer makes from it.",
                ),
                (
                    "(Notebook 02 split the class into two halves that help.)",
                    "(`split_heads` and the method `attend` help.)",
                ),
            ],
            "shared_cross": [
                (
                    "    key, value = layers[0].keys_values(memory)\n",
                    "    key = split_heads(layers[0].w_k(memory), layers[0].num_heads)\n"
                    "    value = split_heads(layers[-1].w_v(memory), layers[-1].num_heads)\n",
                )
            ],
            "shared_cross_numbers": [
                (
                    "memory @ layers[0].w_v.weight.T + layers[0].w_v.bias",
                    "memory @ layers[-1].w_v.weight.T + layers[-1].w_v.bias",
                )
            ],
            "shared_cross_once": [
                (
                    'reads.count(layers[0].w_v)], [1, 1], "those of the first layer"',
                    'reads.count(layers[-1].w_v)], [1, 1], "those of the first and the last layer"',
                )
            ],
        },
        "wire": {
            "## 7": [
                (
                    "`reads[i]` is the number of the encoder layer, counted from 0, whose output decoder layer i reads.",
                    "`reads` has a number for each decoder layer, from the **last** one to the first: the number of the encoder layer, counted from 0, whose output it reads.",
                )
            ],
            "wire": [("zip(reads, decoder_layers)", "zip(reads[::-1], decoder_layers)")],
            "wire_memory": [("[-states[i] for i in reads]", "[-states[i] for i in reads[::-1]]")],
        },
    },
    "ps3": {
        "sentence_losses": {
            "## 1": [
                (
                    "return the cross-entropy of each, in nats **per real token**:",
                    "return the perplexity of each, the exponential of its cross-entropy in nats **per real token**:",
                )
            ],
            "sentence_losses": [
                (
                    "    return -(chosen * real).sum(dim=-1) / real.sum(dim=-1)\n",
                    "    return (-(chosen * real).sum(dim=-1) / real.sum(dim=-1)).exp()\n",
                )
            ],
            "sentence_losses_seen": [
                ("math.log(8)", "8.0"),
                ("(math.log(2) + math.log(4)) / 2", "8**0.5"),
            ],
            "sentence_losses_padding": [
                ("first = -(", "first = ("),
                ("second = -(", "second = ("),
                (".log() / 4", " ** (-1 / 4)"),
                (".log() / 2", " ** (-1 / 2)"),
            ],
            "sentence_losses_gradient": [
                (
                    "sentence_losses(logits, labels).sum().backward()\n",
                    "found = sentence_losses(logits, labels)\nfound.sum().backward()\nfound = found.detach()\n",
                ),
                ("chosen[0]) / 4,", "chosen[0]) / 4 * found[0],"),
                ("chosen[1, :2]) / 2,", "chosen[1, :2]) / 2 * found[1],"),
            ],
        },
        "go_on": {
            "## 2": [
                (
                    "Return ids (batch, length), without BOS: the prefix, then always the most probable token.",
                    "Return ids (batch, length + 1): BOS, the prefix, then always the most probable token.",
                )
            ],
            "go_on": [("    return ids[:, 1:]\n", "    return ids\n")],
            "go_on_shape": [
                ("(2, 5), ", "(2, 6), "),
                ("ids[:, :2], prefix", "ids[:, 1:3], prefix"),
                ("(1, 4), ", "(1, 5), "),
                ("ids[0, 0].item()", "ids[0, 1].item()"),
            ],
            "go_on_words": [("rows.append(row[1:])", "rows.append(row)")],
            "go_on_end": [("EOS in row[:5]", "EOS in row[:6]")],
        },
        "token_by_token": {
            "## 3": [
                ("## 3 · One token a step", "## 3 · Three tokens a step"),
                (
                    "**one token at a time**",
                    "**three tokens at a time** (fewer in the last step, if their number is no multiple of three)",
                ),
                (
                    "return the logits of all positions, (batch, target, vocab_size). They must equal those of one pass over the whole.",
                    "return the probabilities of all positions, (batch, target, vocab_size). They must equal those that one pass over the whole gives.",
                ),
            ],
            "token_by_token": [
                ("target_ids.split(1, dim=1)", "target_ids.split(3, dim=1)"),
                (
                    "model.output(torch.cat(steps, dim=1))",
                    "model.output(torch.cat(steps, dim=1)).softmax(dim=-1)",
                ),
            ],
            "token_by_token_equal": [
                ("model(source_ids[:1], whole), ", "model(source_ids[:1], whole).softmax(-1), "),
                ("model(source_ids, both), ", "model(source_ids, both).softmax(-1), "),
            ],
            "token_by_token_once": [
                ("target_ids[:, :3])", "target_ids[:, :5])"),
                ("[1] * 6", "[3, 3, 2, 2]"),
            ],
        },
        "needed": {
            "## 4": [
                (
                    "without which the label `target_ids[0, t + 1]` loses most of its log-probability.",
                    "without which the model is least sure of what comes after position t: where the entropy of its probabilities, −Σ p · log p, is largest.",
                )
            ],
            "needed": [
                ("    def log_probability(mask):\n", "    def entropy(mask):\n"),
                (
                    "        return logits.log_softmax(dim=-1)[target_ids[0, t + 1]].item()\n",
                    "        return -(logits.softmax(dim=-1) * logits.log_softmax(dim=-1)).sum().item()\n",
                ),
                (
                    "    left = {}  # what is left without each position; the least is left without the most needed\n",
                    "    left = {}  # how unsure the model is without each position\n",
                ),
                ("left[s] = log_probability(mask)", "left[s] = entropy(mask)"),
                ("min(left, key=left.get)", "max(left, key=left.get)"),
            ],
            "needed_places": [
                (
                    "    lost = torch.stack(logits).log_softmax(-1)[:, target[0, t + 1]]\n",
                    "    shares = torch.stack(logits).softmax(-1)\n"
                    "    lost = (shares * shares.log()).sum(-1)\n",
                )
            ],
        },
        "hearing": {
            "## 5": [
                (
                    "do the logits at t move when the source token at s is replaced by another word?",
                    "do the logits at t **stay** exactly as they are when the source token at s is replaced by another word, so that t is deaf to s?",
                ),
                ("its columns are False.", "its columns are True."),
            ],
            "hearing": [("    return heard\n", "    return ~heard\n")],
            "hearing_right": [
                ("torch.ones(6, 6,", "torch.zeros(6, 6,"),
                ("torch.ones(5, 3,", "torch.zeros(5, 3,"),
            ],
            "hearing_deaf": [("[t < 2 or s < 2 for", "[t >= 2 and s >= 2 for")],
            "hearing_padding": [
                ("[s < 4 for s in", "[s >= 4 for s in"),
                ("torch.ones(3, 4, dtype", "torch.zeros(3, 4, dtype"),
            ],
        },
        "diagnose": {
            "## 6": [
                (
                    "if the decoder gets the output of the first encoder layer",
                    "if the decoder gets the output of the second encoder layer",
                ),
                (
                    "if cross-attention sees the first source word only",
                    "if cross-attention sees the second source word only",
                ),
            ],
            "diagnose": [("(weights[..., 1:] == 0).all()", "(weights[..., [0, 2, 3]] == 0).all()")],
            "suspects": [
                ("(torch.arange(memory.size(1)) == 0)", "(torch.arange(memory.size(1)) == 1)")
            ],
            "diagnose_early": [("if number == 0 or not", "if number < 2 or not")],
        },
    },
    "capstone": {
        "batch_loss": {
            "## 3": [
                (
                    "The mean cross-entropy over **real** labels of a batch, as one number",
                    "For each number of a batch, the mean cross-entropy of its **real** labels, and of these the mean, as one number",
                )
            ],
            "batch_loss": [
                (
                    "    return F.cross_entropy(logits[real], batch.target_labels[real])\n",
                    '    losses = F.cross_entropy(logits.mT, batch.target_labels, reduction="none") * real\n'
                    "    return (losses.sum(dim=1) / real.sum(dim=1)).mean()\n",
                )
            ],
            "batch_loss_padding": [
                (
                    "slope.exp().sum().log() - slope[labels].mean(), ",
                    "slope.exp().sum().log() - (slope[labels[:3]].mean() + slope[labels[3:]].mean()) / 2, ",
                ),
                ('"five real labels, counted alike"', '"two numbers, counted alike"'),
            ],
        },
        "look": {
            "## 6": [
                (
                    "averaged over heads, as (digits + 1, words + 1).",
                    "and in each cell the largest weight that any of the heads gives, as (digits + 1, words + 1).",
                )
            ],
            "look": [("[0].mean(dim=0)\n", "[0].amax(dim=0)\n")],
            "look_shape": [
                (
                    "agree(weights.sum(-1), torch.ones(4), ",
                    "agree((weights.sum(-1) > 1).all().item(), True, ",
                ),
                (
                    "agree(weights.sum(-1), torch.ones(3), ",
                    "agree((weights.sum(-1) > 1).all().item(), True, ",
                ),
            ],
            "look_numbers": [("wanted = sum(maps) / 4", "wanted = torch.stack(maps).amax(0)")],
        },
    },
}

# Another question for each that a person reads: the same goal, another situation. rubric.md has
# what to mark under the same headings, as "version 2".
QUESTIONS = {
    "ps1": {
        "too_late": {
            "## 7": """\
## 7 · Zero isn't hidden (4 points, read by a person)

A classmate hides padding by setting the *scores* of the hidden columns to 0 before the softmax, where you set them to −∞. What is wrong with a row then? When is the mistake small, and when is it large? The classmate hears about it and takes −1000 in place of 0. For which rows is that as good as −∞, and for which is it not?""",
            "too_late": """\
exp(0) is 1 and not 0, so every hidden column takes a share of the row, and the value of a padding vector is mixed into the output. How large the share is depends on the visible scores: each hidden column counts as much as a visible one with score 0. With two visible scores of 1 and three columns of padding, the padding gets 3 / (3 + 2e) = 0.36. So the same sentence gets another output in a batch with a longer one, because there it has more padding. The mistake is small if the visible scores are far above 0 (with a score of 10, one hidden column gets 0.00005), and there is none in rows that hide nothing. It is large where the visible scores are negative, or where there is much padding.

With −1000, exp of the difference to any usual score is rounded to exactly 0, so for a row with something visible the result is the same as with −∞. It isn't the same in a row that may attend to nothing: all its scores are equal then, so the row is dealt out evenly among hidden columns. (With −∞ this row is 0 / 0, so it has to be set to zero by hand.) And it isn't if the visible scores themselves are about −1000.""",
        },
        "packed_apart": {
            "## 8": """\
## 8 · Padded on the left (4 points, read by a person)

To let a decoder-only model write in a batch, rows of unequal length are padded on the **left**, so that all of them end in the same column. Your masks keep the padding out of the attention. Name two *other* places in which the model would still treat a padded row differently from the same row alone, say what happens there, and what you would do about each.""",
            "packed_apart": """\
**Positions.** With two columns of padding, the first word is at position 2 and not at 0. The model has learned what it knows about first words at position 0, so the same row gets other vectors and may be continued in another way. Count the positions from the first real token of each row: the number of real tokens before it, which is a cumulative sum of the padding mask. (With positions that only tell distances, nothing has to be done.)

**Rows of the mask that are empty.** The padding columns are queries, too. The causal mask lets them look only at what is before them, which is nothing but padding, so their row is all hidden and softmax gives 0 / 0 = NaN. A NaN times a weight of 0 is still NaN, so in the next layer it reaches the real words. Set such rows to zero, or let padding look at itself.

(Also good: in training, the last padding column has the first word as its label, although it has seen nothing. Leave it out of the loss.)""",
        },
    },
    "ps2": {
        "merging": {
            "## 8": """\
## 8 · A second language (4 points, read by a person)

Tasks 3 and 4 merge two memories in different ways. You have a trained translator from German to English, and for every sentence there is now a French version as well, about as long as the German one. A second encoder reads it. It is as wide as yours, but was trained by somebody else, for something else. Which of the two ways would you take, and why? Name one thing that each does better than the other.""",
            "merging": """\
I take the gated second cross-attention, at least to begin with. Both memories are sentences of the same length, so it would be natural to let their words compete in one softmax. But the French encoder was trained elsewhere: what its 12 vectors have in their columns has nothing to do with what W_K and W_V of the trained layer expect. Their scores would be arbitrary, so about half of each row's weight would go to French columns from the first step on, and the values mixed in would be noise. With a gate at 0 the translator is exactly what it was. The second attention has W_K and W_V of its own, which can learn to read the other encoder, and the gate opens only as far as French helps. If I could train both encoders together from the start, I would take the single softmax.

One softmax is better where both memories are of one kind: words of both compete for the same row, so where *Bank* is ambiguous and *banque* is not, the weight can move to French for this word alone. It needs no new parameters, and the weights of both can be compared. Two attentions are better where the memories are written in different "languages" of vectors: each has its own W_K and W_V, may have its own width, and French can be switched off if a sentence has none.""",
        },
        "gate_at_zero": {
            "## 9": """\
## 9 · An output at zero (4 points, read by a person)

Take the layer of task 4 without a gate. In its place, W_O of the picture attention starts at zero, and so does its bias. Which parameters of this branch get a gradient other than zero at the very first training step, and which don't? Why does the branch learn all the same? And what would happen if W_V, with its bias, started at zero *as well*?""",
            "gate_at_zero": """\
The branch adds W_O · found + b_O, where found is what the heads have mixed. The derivative by W_O has found as a factor, which isn't zero, and the derivative by b_O doesn't depend on the branch at all: so both get a gradient at the first step. Everything behind W_O (W_Q, W_K, W_V with their biases, and the norm) is reached only through W_O, so its gradient has the factor W_O = 0: nothing in the first step. After that step W_O is no longer zero, and from the second step on the gradient gets through, so the others learn, too.

If W_V and its bias are zero as well, found is 0 for any picture. Then the gradient of W_O is 0 because nothing was found, and that of W_V is 0 because W_O is: each has the other as a factor, so neither ever moves. Only b_O still learns, but it adds the same vector for every picture. The branch never hears the picture.""",
        },
    },
    "ps3": {
        "three_curves": {
            "## 7": """\
## 7 · Three more reports (4 points, read by a person)

Three people train the same translator on the same data, with a vocabulary of 1,000 words, and report after the same number of steps, loss in nats per token:

| | training loss | validation loss | exact match, greedy | |
|---|---|---|---|---|
| A | 0.4 | 0.5 | 71 % one by one, 9 % in batches | in batches, short sentences go wrong |
| B | 6.9 | 6.9 | 0 % | the loss has been the same from the first step |
| C | 0.5 | 0.6 | 0 % | the translations begin right and never end |

Give for each the most likely cause, and one measurement or counterfactual that would confirm it.""",
            "three_curves": """\
**A** hears the padding: the mask of the source is missing, in the encoder or in cross-attention (or it is inverted for padding alone). A sentence by itself has no padding, so it is right; in a batch, short sentences are padded to the longest one. Confirm: add two columns of PAD to a sentence and compare the logits. They must not move, and here they do.

**B** doesn't learn at all: 6.9 = log 1000, which is the loss of a model that finds every word equally likely. Gradients don't reach the parameters, or nothing is done with them: the loss is detached, the optimiser has the parameters of another model, the learning rate is 0. Confirm: keep a copy of the parameters, make one step, and compare. If nothing has changed, look at the gradients: if they are None, the path is cut; if not, it is the optimiser.

**C** has never been shown an EOS as a label: it is missing in the data, was cut off with the last label, or counts as padding in the loss (if PAD and EOS have the same id). Confirm: read off the probability of EOS after the last word of a training sentence. It is nearly 0, whereas the other words have high ones. Then print the labels of one batch.""",
        },
        "bright_cell": {
            "## 8": """\
## 8 · What a grey map means (4 points, read by a person)

In the map of one cross-attention every cell has about the same weight, 1/12 for each of twelve words. Somebody concludes that this attention does nothing and can be left out. Give two reasons why that may be wrong, each with a small situation in which it happens, and say in one sentence what you would write under such a map in a report.""",
            "bright_cell": """\
**An even mean carries information.** The output is then W_O times the mean of all values, and this mean depends on the sentence. A head may count: if the value of *nicht* points in one direction and all others are short, the mean says whether the sentence is negated, wherever the word is. Without this head, the translation may lose its "not".

**The map is a mean itself.** What is drawn is often the average over heads. Four sharp heads that look at different places, one at the word itself, one at its neighbour, and so on, add up to a grey map, although each of them picks one word. (Also good: it is even for this sentence and sharp for others, for example for those with a name; or it is even in the rows of this prefix only.)

What would tell is to leave it out: set its output to zero, or to its mean over all sentences, and measure the loss on held-out sentences.

Under the map: "Layer 1, mean of four heads, one sentence: the words are mixed in about equal parts. This doesn't show that the result isn't used.\"""",
        },
    },
    "capstone": {
        "explain_map": {
            "## 7": """\
## 7 · Two digits in one word (6 points, read by a person)

In five to eight sentences: in the map of 412011, *vier hundert zwölf tausend elf*, which words give two digits each, and does the model look at them in the same way for both? Where does it look when it writes the 0 that nobody has said? Show at least one more map of a number that you chose for a reason. And check one claim by a counterfactual (change or hide a word), not by looking alone.""",
            "code-35": [("number = 345_678", "number = 412_011")],
            "explain_map": """\
*(One run, seed 1; yours may differ.)* In the map of 412011 the rows are digits and the columns are words. The 4 looks at *vier* (0.78). *zwölf* gives two digits, but not in the same way: the row that writes the 2 has 0.74 on it, the row of the 1 before it only 0.44, with 0.24 on *vier* and 0.21 on *hundert*. At *elf* both rows agree (0.87 and 1.00), and the end of the number looks there as well (1.00). For the 0 that nobody has said I expected *tausend*; it has 0.44 there, and 0.42 on *zwölf*, whose digits have just been written.

I also show 11011, because both of its words are the same and only their places tell them apart. There the first two rows look at *tausend* (0.79 and 0.76) and hardly at either *elf*, and on its own the model writes 1111: it loses the 0.

Counterfactual. Claim: the last two digits are read from the last word alone. With *zwölf* in the place of *elf* I expected 412012, and the model writes 412012. With *zehn* I expected 412010, but it writes 41201: one digit is lost, so it isn't true that such a word is simply copied out in two digits. (With *elf* in the place of *zwölf* it writes 411011, as it should.) The map alone would not have told me about the zeros at the end.""",
        },
        "ablation_report": {
            "## 4": [
                (
                    "it makes a model of this kind (part 8 will ask for another one), trains it",
                    "it makes a model of this kind, trains it",
                )
            ],
            "## 8": """\
## 8 · Take something away from its lessons (12 points, read by a person)

Leave the machine as it is, and take **one** thing away from the numbers that it is trained on: all numbers with a certain word, or with a certain word in one place (such as *siebzig* before *tausend*), all short ones, all with an unspoken zero, nine tenths of them, … Say **first**, in writing, what you expect for numbers that have what was taken away. Then train with and without, at least two seeds each, measure both on held-out numbers, and find out *which* numbers go wrong, not only how many. Put the code into the cell below and your report under it. The rubric says what counts; a surprise that is well examined counts as much as a guess that came true.""",
            "ablation": '''\
### BEGIN SOLUTION
KEPT_BACK = frozenset(n for n in range(1, 1_000_000) if n // 10_000 % 10 == 7)  # siebzig tausend


def kinds_of_mistakes(model, asked):
    """How many numbers are right, how many have too few or too many digits, and the rest."""
    counts = {"right": 0, "length": 0, "other": 0}
    for number in asked:
        heard = hear(model, in_words(number))
        same_length = len(str(heard)) == len(str(number))
        counts["right" if heard == number else "other" if same_length else "length"] += 1
    return counts


seeds = ()  # (1, 2) for the report below: two minutes
kind, not_trained_on = NumberReader, HELD_OUT
for kept_back in (frozenset(), KEPT_BACK):
    HELD_OUT = not_trained_on | kept_back  # `train_reader` leaves these out
    for seed in seeds:
        model = train_reader(seed, kind)
        asked = sorted(not_trained_on & KEPT_BACK)[:200]
        print(len(kept_back), seed, kinds_of_mistakes(model, asked))
HELD_OUT = not_trained_on
### END SOLUTION''',
            "ablation_report": """\
**Expectation, written before.** I take away all numbers with a 7 in the place of the ten thousands, so the model never hears *siebzig* (nor *und siebzig*) before *tausend*, but it hears it at the end of numbers, and it hears the other tens in both places. If it has learned words and places separately, it gets such numbers right all the same. I expect that it hasn't quite: that most of them, perhaps 150 of 200, are right, and that in the others just this one digit is wrong and has become another tens digit, such as a 6.

**What I did.** The same model, the same 300 steps, the same seeds; the only difference is that `train_reader` skips the 100,000 numbers with this 7 (so its batches are a tenth smaller, too). Measured on 200 held-out numbers that have it.

| trained on | seed | right | wrong number of digits | other mistakes |
|---|---|---|---|---|
| all numbers | 1 | 195 | 5 | 0 |
| all numbers | 2 | 197 | 2 | 1 |
| without *siebzig tausend* | 1 | 184 | 8 | 8 |
| without *siebzig tausend* | 2 | 183 | 6 | 11 |

On 200 other held-out numbers all four models have 199 right.

**Which go wrong.** It transfers far better than I thought. The mistakes in length are numbers such as 70006, which becomes 7006: models that have seen everything make them as well, so they come from the zeros. What is new are the 8 and 11 other mistakes, and they aren't what I expected: 71083 becomes 17083 with seed 2, the same digits in another order. So the word is understood as a 7, and what suffers is its place.

**What follows, and what does not.** The model composes: a word learned in one place can be read in another, in nine of ten cases. It does not follow that it would do so for all words; *siebzig* has seven neighbours (*zwanzig* to *neunzig*) that show how tens behave before *tausend*. Next I would take more and more of them away and see when it breaks. The two seeds agree within one number; the smaller batches can't explain the difference, because the other numbers have not become worse.""",
        },
    },
}
for _name, _tasks in THIRD.items():
    VARIANTS[_name] |= {
        _task: [VARIANTS[_name][_task], _changes] for _task, _changes in _tasks.items()
    }
    VARIANTS[_name] |= QUESTIONS[_name]
