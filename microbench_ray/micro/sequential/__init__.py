"""Verdicts that stop early: items are looked at in random order until a question about one or more models is answered."""
