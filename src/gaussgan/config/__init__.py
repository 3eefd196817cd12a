"""Check the keys and values of a configuration, with a one-line error for each wrong value.

This package does not import torch, does not instantiate any component, and does not use the directory of a run.
"""
