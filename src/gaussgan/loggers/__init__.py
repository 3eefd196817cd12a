"""Make loggers, log the configuration, numbers and pictures of a run, and close the loggers.

The choice of numbers and pictures belongs in `callbacks`.
"""
