"""The configuration as plain values: what each key may be, and the one-line errors for wrong values.

Nothing here imports torch, makes an object, or touches a run directory.
"""
