"""What is wrong with receivers and Warehouses, as far as that can be said from what is known: pure checks.

Every check is a function from plain values to a `Finding` or None; what is not known is never a finding.
"""
