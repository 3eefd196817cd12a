"""The directory of a run: who may write there, its checkpoints and record, and loading a run.

Code that runs during training belongs in `callbacks`.
"""
