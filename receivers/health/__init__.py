"""Health checks: pure functions from facts to findings, the queries that gather the facts, mutes and access reviews.

May import `webhook` and the layers below it.
"""
