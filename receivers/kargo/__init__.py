"""Kargo's semantics: subscriptions, selectors, names, matching, progress and outcomes; `kinds` has one file per sender.

Pure: plain values in, plain values out. Imports the standard library and RE2 only.
"""
