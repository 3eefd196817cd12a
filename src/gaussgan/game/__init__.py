"""The game: what each player minimises (objectives), who plays (player), and how they move (updates)."""
