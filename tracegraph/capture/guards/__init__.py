"""What a trace depends on: where its values came from, and what is checked of them before it runs."""
