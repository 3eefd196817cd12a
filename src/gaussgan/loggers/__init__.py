"""Loggers: how they are made, what they are told, and how they are closed.

The choice of numbers and pictures belongs in `callbacks`.
"""
