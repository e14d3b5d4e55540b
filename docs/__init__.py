"""The pages of the documentation, and the hooks that make a site of them."""
