"""One self-contained page for a sweep or an audit: what a person looks at in the morning."""
