# Finds the helpers in a checkout, as an installed package, or else (on Colab) fetches them.
# It never touches an installed torch or numpy.
import importlib.util
import pathlib
import subprocess
import sys

install = [sys.executable, "-m", "pip", "install", "-q"]
here = pathlib.Path.cwd()
for place in (here, *here.parents):
    if (place / "helpers" / "attention.py").exists():
        sys.path.insert(0, str(place))
        break
if importlib.util.find_spec("helpers") is None:
    address = "git+https://github.com/OWNER/understanding-transformers"
    subprocess.run([*install, "--no-deps", address], check=True)
needed = ("safetensors", "sacrebleu", "tokenizers")
missing = [p for p in needed if importlib.util.find_spec(p) is None]
if missing:
    subprocess.run([*install, *missing], check=True)

import numpy
import torch

from helpers.missing_names import explain_missing_names

explain_missing_names()  # a NameError then says which cell to run first
torch.manual_seed(0)
print(f"Python {sys.version.split()[0]}, torch {torch.__version__}, numpy {numpy.__version__}")
