"""The game: losses, update rules and optimizers of the two players, and the LightningModule that trains them.

Distances between a generator and the true distribution belong in `evaluation`.
"""
