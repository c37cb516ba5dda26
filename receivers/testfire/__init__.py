"""Test pushes: compose one, send it through the receiver URL, and diagnose every step on the way.

May import `webhook` and the layers below it.
"""
