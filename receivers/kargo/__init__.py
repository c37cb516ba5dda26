"""Kargo's semantics: subscriptions, selectors, repository names, matching, progress; `kinds` has one file per sender.

Pure functions of plain values. May import the standard library and RE2 only.
"""
