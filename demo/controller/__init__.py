"""A simulated Kargo controller: it watches Warehouses, handles refreshes, discovers artifacts and creates Freight.

It does not depend on Django or kargoweb's pages. Start it with `python -m demo.controller`. `behaviors` describes how
to inject failures.
"""
