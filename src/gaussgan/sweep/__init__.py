"""Sweeps whose jobs are trained together if they differ only in numbers.

Code that trains one run belongs in `train`.
"""
