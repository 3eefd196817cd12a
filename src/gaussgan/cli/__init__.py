"""The command line: Hydra's, with every mistake in one line.

What a key may be is said in `config`.
"""
