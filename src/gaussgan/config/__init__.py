"""The rule for each key of the configuration, and the one-line errors for wrong values.

Nothing here imports torch, makes an object, or touches a run directory.
"""
