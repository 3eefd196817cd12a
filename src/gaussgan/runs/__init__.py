"""A run's directory: who may write there, its checkpoints and record, and a run loaded back.

What happens while a run trains belongs in `callbacks`.
"""
