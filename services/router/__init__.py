"""router: the catalog and the route tables of every edge. See README.md."""
