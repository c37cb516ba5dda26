"""A test push fired by a person: compose it, send it through the receiver URL, diagnose each step of the way.

Imports `webhook` and what is below it.
"""
