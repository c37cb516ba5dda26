"""The pages: views, forms, fragments that update themselves, charts.

Imports any room but `api`; nothing imports it but the URLconf and the template tags.
"""
