"""Compile a function of tensors, repeated many times for many replicas, into one C program: trace, emit, build.

What the function computes is not known here: nothing in this package knows a GAN.
"""
