"""Measures of a generator and a discriminator: distances from the true distribution, statistical tests, and others.

Code that trains, draws figures or writes files belongs elsewhere.
"""
