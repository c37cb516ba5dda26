"""The product: receives Docker Hub pushes, keeps them, refreshes Warehouses."""
