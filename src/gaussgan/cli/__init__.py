"""Hydra's command line, with a one-line error for each mistake of the user.

The rules for keys belong in `config`.
"""
