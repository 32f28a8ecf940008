"""The only folder that imports ray: a search as a Tune trial, and the jobs made of many."""
