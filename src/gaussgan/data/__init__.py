"""Distributions of the data, and the examples, latents and noise that a run draws.

Code that measures samples belongs in `evaluation`.
"""
