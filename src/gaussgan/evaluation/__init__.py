"""Measures of a generator and a discriminator: distances to the truth, two-sample tests, and the game's spectrum.

Code that trains, draws figures or writes files belongs elsewhere.
"""
