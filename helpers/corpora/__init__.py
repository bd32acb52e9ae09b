"""Texts to train on: a toy language, Multi30k, and a folder of your own."""
