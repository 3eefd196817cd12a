"""Published figures beside our own: rows, the methods that compute them, their results, and the table.

A row is data, in `rows`. What trains a network or moves a player belongs in the lower packages.
"""
