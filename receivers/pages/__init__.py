"""The pages for people; a file each. `receivers/access.py` says who may open them."""
