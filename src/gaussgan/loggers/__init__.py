"""Make the loggers of a run, log to them, and close them. A run logs its configuration, numbers and pictures.

The package `callbacks` decides which numbers and pictures are logged.
"""
