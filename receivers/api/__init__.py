"""The JSON API: the reads and actions of the pages, for programs. May import any room; only the URLconf imports it."""
