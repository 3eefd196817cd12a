"""How far a generator and a discriminator are from the truth: distances, tests, and the spectrum of the game.

Nothing here trains, draws a figure or writes a file.
"""
