"""Sweeps: jobs that differ only in numbers are trained together.

The training of one run belongs in `train`.
"""
