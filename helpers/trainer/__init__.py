"""Train a translator from the command line, on one processor, on a GPU, or on several of either.

    python -m helpers.trainer --data multi30k --minutes 10 --out runs/de-en
    torchrun --nproc-per-node=2 -m helpers.trainer --data multi30k --minutes 10 --out runs/two
    python -m helpers.trainer --out runs/de-en --resume

The loop is `training.train`, the one of notebook 09. The folder named by --out then holds
  settings.json     all that was chosen, by you or by measuring
  vocabulary.json   the pieces of words
  log.jsonl         a line for each report
  last.safetensors  weights, optimizer and history: what --resume goes on from
  best.safetensors  the model with the best BLEU on the validation set (without sacreBLEU, the last)
  model.safetensors at the end: the best checkpoint, or the mean of the last, chosen on validation
  result.json       its scores on the test set, with sacreBLEU's signatures; test.txt what it said
  bleu.png, loss.png
"""
