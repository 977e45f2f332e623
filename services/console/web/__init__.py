"""The console's pages: rendered by the server, readable without script, with a strict content-security policy."""
