"""Tables of scores in any shape: long, or wide with items or models as rows, from files and from objects in memory."""
