"""The directory of a run: its lock, checkpoints and record, and functions that load and measure a finished run.

Code that runs during training belongs in `callbacks`.
"""
