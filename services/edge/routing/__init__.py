"""Which target a request goes to, and which are left alone: selection, affinity, breakers and their sharing."""
