"""auth: accounts, API keys and credit leases. See README.md."""
