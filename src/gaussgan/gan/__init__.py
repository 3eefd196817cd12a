"""The game: losses, update rules and optimizers of the two players, and the LightningModule that trains them.

Measures of how far a generator is from the truth belong in `evaluation`.
"""
