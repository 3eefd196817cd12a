"""Distributions, and the examples and latents that a run draws from them.

Code that measures samples belongs in `evaluation`.
"""
