"""Services of others over HTTP: addresses, attempts, limits of pace, and the answers that are kept."""
