"""Money at the edge: credit leases, usage entries on their way to the ledger."""
