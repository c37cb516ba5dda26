"""The JSON API: deliveries, pushes, findings and test pushes under the permissions of the caller, and its schema.

May import any room, of `web` the sentences and results that pages show, too. Only the URLconf imports it.
"""
