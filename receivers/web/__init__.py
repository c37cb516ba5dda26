"""The pages: views, forms, fragments that update themselves, charts, and what they say about pushes and Stages.

May import any room but `api`. The URLconf, the template tags and the API import it.
"""
