"""console: the admin REST API. See README.md."""
