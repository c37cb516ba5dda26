"""Plays Kargo's controller: watches Warehouses, handles refreshes, discovers artifacts and creates Freight.

It knows nothing of Django or of kargoweb's pages. Start it with `python -m demo.controller`; how to make it misbehave
is in `behaviours`.
"""
