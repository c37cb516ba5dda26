"""The cluster, decoded: an in-memory mirror of Kargo's objects with indexes by digest and by repository."""
