"""Go's standard library where Kargo depends on its exact behavior: JSON, URLs, regular expressions, durations.

Imports the standard library and RE2 only.
"""
