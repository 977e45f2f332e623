"""What finance asks: revenue, upstream cost, margin, liabilities, exports. Exact: ClickHouse's integers throughout."""
