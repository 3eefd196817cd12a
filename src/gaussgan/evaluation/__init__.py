"""Measures of a generator and a discriminator: distances from the true distribution, tests, the spectrum.

Code that trains, draws figures or writes files belongs elsewhere.
"""
