"""Train a translator from the command line, on one CPU or GPU or on several of either.

    python -m helpers.trainer --data multi30k --minutes 10 --out runs/de-en
    python -m helpers.trainer --data my.de my.en --minutes 60 --out runs/mine
    torchrun --nproc-per-node=2 -m helpers.trainer --data multi30k --minutes 10 --out runs/two
    python -m helpers.trainer --out runs/de-en --resume

and use it afterwards (`translate --help` and `evaluate --help` say more):

    python -m helpers.trainer translate runs/de-en "Ein Hund schläft."
    python -m helpers.trainer evaluate runs/de-en new.de new.en

The loop is `training.train`, the one of notebook 09. The folder named by --out then holds
  settings.json     all settings, whether chosen by you or measured, and checksums of the texts
  vocabulary.json   the pieces of words
  train.ids, train.starts.npy   the training text as ids, read a batch at a time
  held_out/         the validation and the test set, a file for each side, as they were used
  log.jsonl         a line for each report
  last.safetensors  weights, optimizer and history: what --resume goes on from
  best.safetensors  the model with the best BLEU on the validation set, or, where BLEU says nothing
                    (it is below 1, equal, or finds no words), the one with the lowest loss there
  model.safetensors at the end: the best checkpoint, or the mean of the last, chosen the same way
  result.json       its scores on the test set, with sacreBLEU's signatures
  test.txt          its translations of the test set, line by line
  bleu.png, loss.png
  finished-at-…     the results as they were at that step, if the run was made longer afterwards
  run.lock          held while a run is at work, so that no second one uses the folder
"""
