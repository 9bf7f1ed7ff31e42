"""Products that are bought together: how many orders contain both products of a pair."""
