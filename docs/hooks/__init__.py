"""The hooks of mkdocs.yml."""
