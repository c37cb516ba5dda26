"""The pages for people; a file each. `receivers/accounts/access.py` says who may open them."""
