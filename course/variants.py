"""Other versions of some tasks, so that last year's answers do not pass.

{set: {task: {cell: [(old, new), …]}}}. A cell is named by its grade_id, or by how its text begins.
Each replacement must apply exactly once. tests/grading/test_variants.py checks this, and that the
new solution passes the new tests while the old one does not. `python -m tools.variants SEED` uses
them, and course/grading.md says when.
"""

VARIANTS = {
    "ps1": {
        "multi_query": {
            "## 2": [
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
            "multi_query_numbers": [
                ("slice(head * d_k, (head + 1) * d_k)", "slice(head, None, heads)")
            ],
        },
        "packed_mask": {
            "## 3": [
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
            "## 4": [
                (
                    "and beyond it only what is not later than itself",
                    "and beyond it only itself and the position just before it",
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
            "attend_part_numbers": [("powers.sum(-1).log()", "powers.sum(-1).log2()")],
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
            "hearing_deaf": [
                (
                    "torch.tensor([[s < 4 for s in range(6)]] * 4)",
                    "torch.tensor([[s < 4] * 4 for s in range(6)])",
                ),
                ("torch.ones(3, 4, dtype", "torch.ones(4, 3, dtype"),
            ],
        },
    },
    "capstone": {
        "held_out": {"in_words": [("random.Random(2017)", "random.Random(SEED)")]},
    },
}
