"""Upload: what a run found out, published item by item at a destination."""
