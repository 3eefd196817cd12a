"""Loggers: made from the configuration, told the numbers and pictures of a run, and closed.

Which numbers there are is decided in `callbacks`.
"""
