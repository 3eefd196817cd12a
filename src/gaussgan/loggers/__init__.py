"""Loggers: made from the configuration, told about a run, and closed. The callbacks decide what is logged."""
