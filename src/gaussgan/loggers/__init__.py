"""Make loggers, log the configuration, numbers and pictures of a run, and close the loggers.

The package `callbacks` decides which numbers and pictures are logged.
"""
