"""Hydra's command line, with a one-line error for each mistake of the user.

The rules for the keys of a configuration belong in the package `gaussgan.config`.
"""
