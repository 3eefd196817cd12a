"""The game: what each player minimises, how the two move, and the LightningModule that trains them.

How far a generator is from the truth belongs in `evaluation`.
"""
