"""Template tags and filters: icons, badges, times, names of artifacts.

May import `web` and the rooms below it. Only templates load it.
"""
