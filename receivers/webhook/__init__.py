"""A request arrives: the endpoint, the intake that records and answers it, test tokens, retired and unknown URLs.

May import `refreshes` and the layers below it.
"""
