"""The pages: views, forms, fragments that update themselves, charts.

Imports any room but `api`; only the URLconf, the API and the template tags import it.
"""
