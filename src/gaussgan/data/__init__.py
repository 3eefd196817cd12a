"""Distributions, and the examples and latents that a run draws from them.

What is measured of samples belongs in `evaluation`.
"""
