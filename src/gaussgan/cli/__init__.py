"""The command line: Hydra's, with one line for each mistake.

The rules for keys belong in `config`.
"""
