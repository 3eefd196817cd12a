"""Measures of a generator and a discriminator against the truth: distances, tests, and the spectrum of the game.

Code that trains, draws figures or writes files belongs elsewhere.
"""
